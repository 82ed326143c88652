"""`models`."""

from typing import Annotated

import typer

from imagegate.client import output
from imagegate.client.commands.asking import ask
from imagegate.client.commands.options import Json, Router, Timeout
from imagegate.client.connection import ASK_TIMEOUT
from imagegate.client.plain import plain
from imagegate.client.stdout import say_json
from imagegate.runtime.models import Task, Tier


def models(
    provider: Annotated[str, typer.Option(metavar="NAME", help="Only this provider's.")] = "",
    task: Annotated[Task | None, typer.Option(case_sensitive=False, help="Only those that can do this.")] = None,
    tier: Annotated[Tier | None, typer.Option(case_sensitive=False, help="Only those of this tier.")] = None,
    use_case: Annotated[str, typer.Option(metavar="WORDS", help="Only those whose use case has all these words.")] = "",
    timeout: Timeout = ASK_TIMEOUT,
    router: Router = "",
    as_json: Json = False,
) -> None:
    """List the models: what they make and cost, and what is on."""
    catalogue = ask(
        router,
        lambda client: client.models(provider, task=task or "", tier=tier or "", use_case=use_case, timeout=timeout),
    )
    if as_json:
        say_json(plain(catalogue))
    else:
        output.print_models(output.console(), catalogue)
