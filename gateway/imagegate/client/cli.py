"""`imagegate`, the command line: its table of contents, and how a command ends."""

import os
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Annotated, NoReturn

import typer

from imagegate.client import exits
from imagegate.client.commands import batch, breaker, catalog, doctor, edge, local, picture, recommend, record, status
from imagegate.client.commands.reach import reaching
from imagegate.client.error import GenerationError
from imagegate.client.files import CannotWriteError
from imagegate.client.process import ProcessFailedError
from imagegate.client.startup import CannotStartError
from imagegate.client.stdout import say

app = typer.Typer(
    name="imagegate",
    help="Pictures from any model through one router, with fallback and a record of every attempt.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command()(local.up)
app.command("open")(edge.open_page)
app.command()(reaching(picture.generate))
app.command()(reaching(picture.explain))
app.command()(reaching(batch.batch))
app.command()(reaching(catalog.models))
app.command()(reaching(catalog.poses))
app.command()(reaching(recommend.recommend))
app.command()(reaching(status.status))
app.command()(reaching(doctor.doctor))
app.command()(reaching(record.requests))
app.command()(reaching(record.why))
app.command()(edge.key)
app.command()(local.sandbox)
app.command()(reaching(local.conformance))
app.add_typer(breaker.app, name="breaker")
app.add_typer(local.config_app, name="config")


@app.callback(invoke_without_command=True)
def imagegate(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False
) -> None:
    if version:
        say(f"imagegate {metadata.version('imagegate')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        say(context.get_help())
        raise typer.Exit(exits.USAGE)


def main() -> NoReturn:
    """The entry point."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command; the exit code. What a user can cause ends in one sentence, never in a traceback."""
    try:
        return _run(arguments)
    except BrokenPipeError:
        # Whoever read our output has gone, and Python must not complain about it when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.FAILED
    except (KeyboardInterrupt, typer.Abort):
        return exits.INTERRUPTED


def _run(arguments: Sequence[str]) -> int:
    as_json = "--json" in _options(arguments)
    try:
        return int(app(_with_values(arguments), prog_name="imagegate", standalone_mode=False) or 0)
    except typer.TyperException as error:
        exits.tell_usage(_usage(error), as_json=as_json)
        return exits.USAGE
    except (GenerationError, CannotStartError, CannotWriteError, ProcessFailedError) as error:
        exits.tell(error, as_json=as_json)
        return exits.exit_code(error)


def _options(arguments: Sequence[str]) -> Sequence[str]:
    """The arguments before `--`: what follows it is no option, whatever it looks like."""
    return arguments[: arguments.index("--")] if "--" in arguments else arguments


def _with_values(arguments: Sequence[str]) -> list[str]:
    """`up --sandbox` as `up --sandbox=all`: typer knows no option whose value may be left out."""
    if arguments[:1] != ["up"]:
        return list(arguments)
    return [f"--sandbox={local.ALL}" if argument == "--sandbox" else argument for argument in arguments]


def _usage(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "imagegate"
    return f"{error.format_message().strip().rstrip('.')}; see: {command} --help"
