"""`requests` and `why`: what became of what was asked."""

from typing import Annotated

import grpc
import typer

from imagegate.client import output
from imagegate.client.commands.asking import ask
from imagegate.client.commands.options import Json, Router, Timeout
from imagegate.client.connection import ASK_TIMEOUT
from imagegate.client.error import GenerationError
from imagegate.client.plain import plain
from imagegate.client.stdout import say_json


def requests(
    failed: Annotated[bool, typer.Option("--failed", help="Only those that failed.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many, the latest first.")] = 20,
    timeout: Timeout = ASK_TIMEOUT,
    router: Router = "",
    as_json: Json = False,
) -> None:
    """List the last requests and what became of them."""
    answer = ask(router, lambda client: client.requests(failed_only=failed, limit=limit, timeout=timeout))
    if as_json:
        say_json(plain(answer))
    else:
        output.print_records(output.console(), answer.requests)


def why(
    request_id: Annotated[str, typer.Argument(metavar="REQUEST_ID", help="As printed with the picture or the error.")],
    timeout: Timeout = ASK_TIMEOUT,
    router: Router = "",
    as_json: Json = False,
) -> None:
    """Tell the story of one request.

    Who was tried, what each said and may have cost, and what to do about it. The router at hand knows its last 1,000
    requests.
    """
    try:
        record = ask(router, lambda client: client.request(request_id, timeout=timeout))
    except GenerationError as error:
        raise _forgotten(error, request_id) from error
    if as_json:
        say_json(plain(record))
    else:
        output.print_record(output.console(), record)


def _forgotten(error: GenerationError, request_id: str) -> GenerationError:
    """The error, in words that say how a request can be unknown that was made."""
    if error.code is not grpc.StatusCode.NOT_FOUND:
        return error
    message = (
        f"no request {request_id!r} is known here: a replica keeps the last 1,000 that it was asked, and forgets them "
        "when it restarts; `imagegate requests` lists those that it knows"
    )
    return GenerationError(error.reason, message, code=error.code, request_id=error.request_id)
