"""`generate` and `explain`."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Annotated

import typer

from imagegate.client import exits, output
from imagegate.client.client import AsyncClient
from imagegate.client.commands.asking import ask
from imagegate.client.commands.picture_options import PictureOptions, takes_picture_options
from imagegate.client.event import Completed, Event
from imagegate.client.files import Destination
from imagegate.client.output.progress import Show
from imagegate.client.plain import plain
from imagegate.client.result import Result
from imagegate.client.stdout import say_json
from imagegate.v1 import router_pb2


@takes_picture_options
def generate(
    options: PictureOptions,
    out: Annotated[str, typer.Option(help="A file, or a folder (one that exists, or ends in /).")] = ".",
    stream: Annotated[
        bool,
        typer.Option("--stream", help="Tell what happens on the way; with --json an event a line, the answer last."),
    ] = False,
) -> None:
    """Make pictures and write them to files."""
    destination = Destination.of(out)
    result = _streamed(options) if stream else _asked(options)
    paths = destination.save(result.images, result.request_id)
    if options.as_json:
        shown = result.to_dict()
        for image, path in zip(shown["images"], paths, strict=True):
            image["path"] = str(path)
        say_json(shown)
    else:
        output.print_result(output.console(), result, paths)


@takes_picture_options
def explain(options: PictureOptions) -> int:
    """Tell what `generate` would do; costs nothing.

    Who would be tried in which order, who would be passed over and why, and what would be changed. The exit code is 0
    where something would be tried, else that of `generate`.
    """
    text = options.text()

    async def question(client: AsyncClient) -> router_pb2.Explanation:
        return await client.explain(text, model=options.model, timeout=options.timeout, **options.fields())

    explanation = ask(options.router, question)
    if options.as_json:
        say_json(plain(explanation))
    else:
        output.print_explanation(output.console(), explanation)
    return exits.foreseen(explanation)


def _asked(options: PictureOptions) -> Result:
    text = options.text()

    async def question(client: AsyncClient) -> Result:
        return await client.generate(text, model=options.model, timeout=options.timeout, **options.fields())

    with output.spinner(output.console(stderr=True), "making the picture"):
        return ask(options.router, question)


def _streamed(options: PictureOptions) -> Result:
    text = options.text()

    async def question(client: AsyncClient) -> Result:
        events = client.stream(text, model=options.model, timeout=options.timeout, **options.fields())
        async for event in events:
            if isinstance(event, Completed):
                return event.result
            show(event)
        raise AssertionError("a stream ends with its answer, or raises")

    with _shown(options.as_json) as show:
        return ask(options.router, question)


def _shown(as_json: bool) -> AbstractContextManager[Show]:
    """What to call with each event: for programs it is a line on standard output, and nothing else tells of it."""
    return _as_lines_of_json() if as_json else output.progress_on(output.console(stderr=True))


@contextmanager
def _as_lines_of_json() -> Iterator[Show]:
    def show(event: Event) -> None:
        if not isinstance(event, Completed):
            say_json(event.to_dict())

    yield show
