"""`batch`."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from imagegate.client import exits, output
from imagegate.client.batch import DEFAULT_CONCURRENCY, BatchItem, to_batch_request
from imagegate.client.client import AsyncClient
from imagegate.client.commands.asking import ask
from imagegate.client.commands.batch_file import read_requests
from imagegate.client.commands.options import MAX_TIMEOUT, Json, Router
from imagegate.client.error import GenerationError, invalid
from imagegate.client.files import CannotWriteError, Destination
from imagegate.client.output.batch import Show
from imagegate.client.stdout import say_json


def batch(
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="Requests: a YAML or JSON list, or JSON lines; - reads standard input."),
    ],
    concurrency: Annotated[int, typer.Option(min=1, max=16, help="How many at a time.")] = DEFAULT_CONCURRENCY,
    out: Annotated[str, typer.Option(metavar="FOLDER", help="Where the pictures go.")] = ".",
    timeout: Annotated[
        float | None,
        typer.Option(
            min=0.001, max=MAX_TIMEOUT, metavar="SECONDS", help="For all of them [300 for each round, at most 3600]."
        ),
    ] = None,
    router: Router = "",
    as_json: Json = False,
) -> int:
    """Make the pictures of several requests.

    Each has the fields that the SDK's `generate` takes: prompt, model, width… A picture in it is a file (relative to
    FILE), template:NAME or an https:// address. A line tells of each request as it ends. The exit code is 0 where all
    delivered; where all failed alike, that of `generate`; else 1.
    """
    requests, wrong = read_requests(file)
    try:
        to_batch_request(requests, concurrency)
    except GenerationError as error:
        raise invalid(*wrong, *error.violations) from error
    if wrong:
        raise invalid(*wrong)
    destination = Destination.of(f"{out}/")
    ended: list[BatchItem] = []
    unwritten: list[CannotWriteError] = []

    async def make(client: AsyncClient) -> None:
        async for item in client.generate_batch(requests, concurrency=concurrency, timeout=timeout):
            ended.append(item)
            paths: Sequence[Path] = ()
            try:
                paths = _saved(item, destination)
            except CannotWriteError as error:  # what is under way is paid for, and may find room
                unwritten.append(error)
            show(item, paths)

    with _shown(as_json, len(requests)) as show:
        ask(router, make)
    if unwritten:
        raise unwritten[0]
    return _exit_code(ended)


def _saved(item: BatchItem, destination: Destination) -> Sequence[Path]:
    """Where its pictures are; nowhere where a request has asked what is known of them only (delivery NONE)."""
    images = item.result.images if item.result is not None else ()
    return destination.save([image for image in images if image.data], item.request_id)


def _shown(as_json: bool, size: int) -> AbstractContextManager[Show]:
    """What to call with each item: for programs it is a line on standard output."""
    return _as_lines_of_json() if as_json else output.batch_on(output.console(), output.console(stderr=True), size)


@contextmanager
def _as_lines_of_json() -> Iterator[Show]:
    def show(item: BatchItem, paths: Sequence[Path]) -> None:
        shown = item.to_dict()
        for image, path in zip(shown.get("images", ()), paths, strict=False):  # all have a path, or none has
            image["path"] = str(path)
        say_json(shown)

    yield show


def _exit_code(items: list[BatchItem]) -> int:
    codes = {exits.exit_code(item.error) if item.error is not None else 0 for item in items}
    return codes.pop() if len(codes) == 1 else exits.FAILED
