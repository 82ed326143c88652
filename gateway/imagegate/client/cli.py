"""`imagegate`, the command line. Each command asks the SDK and prints; nothing is decided here."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from importlib import metadata
from typing import Annotated, NoReturn, TypeVar

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from imagegate.client import exits, output
from imagegate.client.client import ASK_TIMEOUT, DEFAULT_TIMEOUT, AsyncClient
from imagegate.client.error import GenerationError
from imagegate.client.files import CannotWriteError, Destination
from imagegate.client.options import Json, PortChoice, Router, Timeout, World
from imagegate.client.plain import plain
from imagegate.client.process import ProcessFailedError
from imagegate.client.result import Result
from imagegate.client.running import Options, Running
from imagegate.client.startup import CannotStartError
from imagegate.client.up import up as run_up

STANDARD_INPUT = "-"
DEFAULT_CALL_TIMEOUT = 30.0  # seconds
ALL = "all"

Answer = TypeVar("Answer")


app = typer.Typer(
    name="imagegate",
    help="Pictures from any model through one router, with fallback and a record of every attempt.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
config_app = typer.Typer(help="Look at the router's configuration.", rich_markup_mode=None)
app.add_typer(config_app, name="config")


@app.callback(invoke_without_command=True)
def imagegate(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False
) -> None:
    if version:
        _say(f"imagegate {metadata.version('imagegate')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        _say(context.get_help())
        raise typer.Exit(exits.USAGE)


@app.command()
def up(
    sandbox: Annotated[
        str,
        typer.Option(
            metavar="[=NAMES]",
            help="Use stand-ins in place of the upstreams: all, or with --sandbox=fal,huggingface those named.",
        ),
    ] = "",
    world: Annotated[
        World | None, typer.Option(help="Which upstreams' behaviour the stand-ins play.", show_default="today")
    ] = None,
    ports: Annotated[PortChoice, typer.Option(help="The well-known ports, or free ones.")] = PortChoice.FIXED,
    as_json: Json = False,
) -> int:
    """Start the providers and the router on this machine, and stop them on Ctrl-C."""
    if world and not sandbox:
        raise typer.BadParameter("--world is for the stand-ins; add --sandbox")
    out = output.console()
    # With --json standard output holds one line only.
    logs = output.console(stderr=True) if as_json else out
    named = None if sandbox == ALL else frozenset(name.strip() for name in sandbox.split(",") if name.strip())
    options = Options(named, (world or World.TODAY).value, ports is PortChoice.AUTO)

    def announce(running: Running) -> None:
        if as_json:
            _say_json(running.to_dict())
        else:
            output.print_running(out, running)

    return asyncio.run(run_up(options, os.environ, logs, announce))


@app.command()
def generate(
    prompt: Annotated[str, typer.Argument(help="What to draw; - reads it from standard input.")],
    model: Annotated[str, typer.Option(help="A route, provider/key, key, alias or upstream id.")] = "",
    negative_prompt: Annotated[str | None, typer.Option(help="What to keep out.")] = None,
    width: Annotated[int | None, typer.Option(help="Pixels, 64 to 4096.")] = None,
    height: Annotated[int | None, typer.Option(help="Pixels, 64 to 4096.")] = None,
    steps: Annotated[int | None, typer.Option(help="1 to 150.")] = None,
    guidance_scale: Annotated[float | None, typer.Option(help="0 to 50.")] = None,
    seed: Annotated[int | None, typer.Option(help="0 or more; -1 draws one.")] = None,
    sampler: Annotated[str | None, typer.Option(help='For example "DPM++ 2M Karras".')] = None,
    count: Annotated[int | None, typer.Option(help="How many pictures, 1 to 8.")] = None,
    refuse: Annotated[bool, typer.Option("--refuse", help="Fail rather than change what was asked.")] = False,
    must_keep: Annotated[list[str] | None, typer.Option(metavar="FIELD", help="Must not change; repeatable.")] = None,
    allow_provider: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this; repeatable.")] = None,
    deny_provider: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Not this; repeatable.")] = None,
    no_fallback: Annotated[bool, typer.Option("--no-fallback", help="Try one candidate only.")] = False,
    out: Annotated[str, typer.Option(help="A file, or a folder (one that exists, or ends in /).")] = ".",
    timeout: Timeout = DEFAULT_TIMEOUT,
    router: Router = "",
    as_json: Json = False,
) -> None:
    """Make pictures and write them to files."""
    destination = Destination.of(out)
    text = sys.stdin.read() if prompt == STANDARD_INPUT else prompt

    async def ask(client: AsyncClient) -> Result:
        return await client.generate(
            text,
            model=model,
            timeout=timeout,
            negative_prompt=negative_prompt,
            width=width,
            height=height,
            steps=steps,
            guidance_scale=guidance_scale,
            seed=seed,
            sampler=sampler,
            count=count,
            on_unsupported="REFUSE" if refuse else None,
            must_keep=must_keep or (),
            allow_providers=allow_provider or (),
            deny_providers=deny_provider or (),
            no_fallback=no_fallback,
        )

    with _spinner("making the picture"):
        result = _ask(router, ask)
    paths = destination.save(result.images, result.request_id)
    if as_json:
        shown = result.to_dict()
        for image, path in zip(shown["images"], paths, strict=True):
            image["path"] = str(path)
        _say_json(shown)
    else:
        output.print_result(output.console(), result, paths)


@app.command()
def models(
    provider: Annotated[str, typer.Option(help="Only this provider's.")] = "",
    timeout: Timeout = ASK_TIMEOUT,
    router: Router = "",
    as_json: Json = False,
) -> None:
    """List the models with what they cost and whether they are on."""
    catalogue = _ask(router, lambda client: client.models(provider, timeout=timeout))
    if as_json:
        _say_json(plain(catalogue))
    else:
        output.print_models(output.console(), catalogue)


@app.command()
def status(
    with_all: Annotated[bool, typer.Option("--all", help="The models as well.")] = False,
    timeout: Timeout = ASK_TIMEOUT,
    router: Router = "",
    as_json: Json = False,
) -> None:
    """Show how the providers and routes are doing."""
    answer = _ask(router, lambda client: client.status(timeout=timeout))
    if as_json:
        _say_json(plain(answer))
    else:
        output.print_status(output.console(), answer, with_models=with_all)


@app.command()
def sandbox(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8090,
    world: Annotated[World, typer.Option(help="Which upstreams' behaviour to play.")] = World.TODAY,
    bind: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
) -> None:
    """Start the upstreams' stand-ins alone."""
    arguments = ["--port", str(port), "--world", world.value, "--bind", bind]
    os.execv(sys.executable, [sys.executable, "-m", "imagegate.sandbox", *arguments])  # noqa: S606 - no shell is meant


@app.command()
def conformance(
    address: Annotated[str, typer.Argument(metavar="HOST:PORT", help="A provider's own gRPC service.")],
    sandbox_url: Annotated[
        str, typer.Option("--sandbox", metavar="URL", help="The sandbox in its upstream's place [port 8090 here].")
    ] = "",
    upstream: Annotated[
        str, typer.Option(metavar="NAME", help="Whose recorded answers to play.", show_default="the provider's name")
    ] = "",
    timeout: Timeout = DEFAULT_CALL_TIMEOUT,
    as_json: Json = False,
) -> None:
    """Check whether a provider, in whatever language, keeps what a provider has to keep."""
    given = {"--sandbox": sandbox_url, "--upstream": upstream, "--timeout": f"{timeout:g}"}
    options = [f"{name}={value}" for name, value in given.items() if value] + (["--json"] if as_json else [])
    command = [sys.executable, "-m", "imagegate.conformance", *options, "--", address]
    os.execv(sys.executable, command)  # noqa: S606 - no shell is meant


@config_app.command("check")
def config_check(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Configuration files.")], as_json: Json = False
) -> int:
    """Say everything that is wrong with configuration files."""
    return _router_command("check", *(["--json"] if as_json else []), "--", *files)


@config_app.command("show")
def config_show(as_json: Json = False) -> int:
    """Print the configuration in force, overrides included."""
    return _router_command("show", *(["--json"] if as_json else []))


def main() -> NoReturn:
    """The entry point."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command; the exit code. What a user can cause ends in one sentence, never in a traceback."""
    as_json = "--json" in _options(arguments)
    try:
        return int(app(_with_values(arguments), prog_name="imagegate", standalone_mode=False) or 0)
    except typer.TyperException as error:
        exits.tell_usage(_usage(error), as_json=as_json)
        return exits.USAGE
    except (GenerationError, CannotStartError, CannotWriteError, ProcessFailedError) as error:
        exits.tell(error, as_json=as_json)
        return exits.exit_code(error)
    except BrokenPipeError:
        # Whoever read our output has gone, and Python must not complain about it when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.FAILED
    except (KeyboardInterrupt, typer.Abort):
        return exits.INTERRUPTED


def _options(arguments: Sequence[str]) -> Sequence[str]:
    """The arguments before `--`: what follows it is no option, whatever it looks like."""
    return arguments[: arguments.index("--")] if "--" in arguments else arguments


def _with_values(arguments: Sequence[str]) -> list[str]:
    """`up --sandbox` as `up --sandbox=all`: typer knows no option whose value may be left out."""
    if arguments[:1] != ["up"]:
        return list(arguments)
    return [f"--sandbox={ALL}" if argument == "--sandbox" else argument for argument in arguments]


def _usage(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "imagegate"
    return f"{error.format_message().strip().rstrip('.')}; see: {command} --help"


def _ask(router: str, question: Callable[[AsyncClient], Awaitable[Answer]]) -> Answer:
    async def ask() -> Answer:
        async with AsyncClient(router) as client:
            return await question(client)

    return asyncio.run(ask())


def _spinner(what: str) -> Progress:
    """Says on standard error that something is under way, and for how long; nothing where it is no terminal."""
    err = output.console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    progress = Progress(*columns, console=err, transient=True, disable=not err.is_terminal)
    progress.add_task(what, total=None)
    return progress


def _router_command(*arguments: str) -> int:
    command = [sys.executable, "-m", "imagegate.router", "config", *arguments]
    return subprocess.run(command, check=False).returncode  # noqa: S603 - our own module


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _say_json(value: object) -> None:
    _say(json.dumps(value, ensure_ascii=False))
