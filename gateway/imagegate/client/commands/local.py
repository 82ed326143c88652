"""`up`, `sandbox`, `conformance` and `config …`: what runs on this machine, and the configuration that is read here."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from imagegate.client import output
from imagegate.client.commands.options import Json, PortChoice, Timeout, World
from imagegate.client.commands.reach import reach
from imagegate.client.process import ProcessFailedError
from imagegate.client.running import Options, Running
from imagegate.client.stdout import say_json
from imagegate.client.up import up as run_up
from imagegate.runtime.models_file import is_overlay

ALL = "all"
DEFAULT_CALL_TIMEOUT = 30.0  # seconds

config_app = typer.Typer(help="Look at the router's configuration.", rich_markup_mode=None)


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
    """Run providers, router and edge here until Ctrl-C."""
    if world and not sandbox:
        raise typer.BadParameter("--world is for the stand-ins; add --sandbox")
    out = output.console()
    # With --json standard output holds one line only.
    logs = output.console(stderr=True) if as_json else out
    named = None if sandbox == ALL else frozenset(name.strip() for name in sandbox.split(",") if name.strip())
    options = Options(named, (world or World.TODAY).value, ports is PortChoice.AUTO)

    def announce(running: Running) -> None:
        if as_json:
            say_json(running.to_dict())
        else:
            output.print_running(out, running)

    return asyncio.run(run_up(options, os.environ, logs, announce))


def sandbox(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8090,
    world: Annotated[World, typer.Option(help="Which upstreams' behaviour to play.")] = World.TODAY,
    bind: Annotated[str, typer.Option(metavar="ADDRESS", help="The address to listen on.")] = "127.0.0.1",
    as_json: Json = False,
) -> None:
    """Run the upstreams' stand-ins alone."""
    arguments = ["--port", str(port), "--world", world.value, "--bind", bind]
    # Where nobody looks a program reads.
    arguments += [] if as_json or not sys.stdout.isatty() else ["--people"]
    os.execv(sys.executable, [sys.executable, "-m", "imagegate.sandbox", *arguments])  # noqa: S606 - no shell is meant


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
    """Check what a provider, in any language, has to keep."""
    way = reach()
    files = {"--ca": way["ca"], "--cert": way["cert"], "--key": way["key"]}
    given = {"--sandbox": sandbox_url, "--upstream": upstream, "--timeout": f"{timeout:g}", **files}
    switches = {"--tls": way["tls"], "--json": as_json}
    options = [f"{name}={value}" for name, value in given.items() if value]
    options += [name for name, is_on in switches.items() if is_on]
    command = [sys.executable, "-m", "imagegate.conformance", *options, "--", address]
    os.execv(sys.executable, command)  # noqa: S606 - no shell is meant


@config_app.command("check")
def config_check(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Configurations and overlays.")],
    as_json: Json = False,
) -> int:
    """Say everything that is wrong with these files.

    They are configurations of the router, and overlays of models.
    """
    overlays = [file for file in files if is_overlay(Path(file))]
    configurations = [file for file in files if file not in overlays]
    found: dict[str, list[str]] = {}
    if configurations:
        found |= _problems("imagegate.router", "config", "check", "--json", "--", *configurations)
    if overlays:
        found |= _problems("imagegate.providers", "--json", "--check", *overlays)
    if as_json:
        say_json({"files": [{"file": file, "problems": found[file]} for file in files]})
    else:
        output.print_problems(output.console(), {file: found[file] for file in files}, overlays)
    return 2 if any(found.values()) else 0


@config_app.command("show")
def config_show(as_json: Json = False) -> int:
    """Print the configuration read here, overrides included."""
    return _router_command("show", *(["--json"] if as_json else []))


def _problems(*arguments: str) -> Mapping[str, list[str]]:
    """What the module of ours called `arguments` finds wrong, by the file that it is given as one of them.

    Raises ProcessFailedError where it does not tell.
    """
    done = subprocess.run([sys.executable, "-m", *arguments], check=False, stdout=subprocess.PIPE, text=True)  # noqa: S603
    try:
        return {each["file"]: each["problems"] for each in json.loads(done.stdout)["files"]}
    except ValueError as error:
        raise ProcessFailedError(f"{arguments[0]} does not tell what is wrong", done.returncode or 1) from error


def _router_command(*arguments: str) -> int:
    command = [sys.executable, "-m", "imagegate.router", "config", *arguments]
    return subprocess.run(command, check=False).returncode  # noqa: S603 - our own module
