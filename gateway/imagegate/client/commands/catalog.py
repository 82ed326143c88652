"""`models`."""

from typing import Annotated

import typer

from imagegate.client import output
from imagegate.client.commands.asking import ask
from imagegate.client.commands.options import Json, Router, Timeout
from imagegate.client.connection import ASK_TIMEOUT
from imagegate.client.plain import plain
from imagegate.client.stdout import say_json


def models(
    provider: Annotated[str, typer.Option(metavar="NAME", help="Only this provider's.")] = "",
    timeout: Timeout = ASK_TIMEOUT,
    router: Router = "",
    as_json: Json = False,
) -> None:
    """List the models with what they cost and whether they are on."""
    catalogue = ask(router, lambda client: client.models(provider, timeout=timeout))
    if as_json:
        say_json(plain(catalogue))
    else:
        output.print_models(output.console(), catalogue)
