"""`status`, once or for as long as somebody looks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.live import Live

from imagegate.client import output
from imagegate.client.client import AsyncClient
from imagegate.client.commands.asking import ask
from imagegate.client.commands.options import Json, Router, Timeout
from imagegate.client.connection import ASK_TIMEOUT
from imagegate.client.plain import plain
from imagegate.client.stdout import say_json
from imagegate.v1 import router_pb2

Show = Callable[[router_pb2.RouterStatus], None]


def status(
    with_all: Annotated[
        bool, typer.Option("--all", help="Every model, not only those with something the matter.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on, and show it again whenever it has changed, until Ctrl-C.")
    ] = False,
    timeout: Timeout = ASK_TIMEOUT,
    router: Router = "",
    as_json: Json = False,
) -> None:
    """Show how the providers and routes are doing."""
    if watch:
        with _shown(with_models=with_all, as_json=as_json) as show:
            ask(router, lambda client: _watch(client, show))
        return
    answer = ask(router, lambda client: client.status(timeout=timeout))
    if as_json:
        say_json(plain(answer))
    else:
        output.print_status(output.console(), answer, with_models=with_all)


async def _watch(client: AsyncClient, show: Show) -> None:
    last = None
    async for answer in client.watch_status():
        if answer != last:  # the router repeats it, to say that it lives
            show(answer)
        last = answer


@contextmanager
def _shown(*, with_models: bool, as_json: bool) -> Iterator[Show]:
    """What to call with each status: it is redrawn on a terminal, and printed again elsewhere."""
    out = output.console()
    if as_json:
        yield lambda answer: say_json(plain(answer))
    elif not out.is_terminal:
        yield lambda answer: output.print_status(out, answer, with_models=with_models)
    else:
        with Live(console=out, auto_refresh=False) as live:
            yield lambda answer: live.update(output.status_view(answer, with_models=with_models), refresh=True)
