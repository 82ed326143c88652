"""`breaker …`: what operators decide about breakers, for a while."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, TypeVar

import typer

from imagegate.client import exits, output
from imagegate.client.address import ADMIN_PORT, admin_address, host_name
from imagegate.client.admin import AsyncAdminClient, Mode
from imagegate.client.commands.options import Json, Timeout
from imagegate.client.commands.reach import reach, reaching
from imagegate.client.connection import ASK_TIMEOUT
from imagegate.client.error import GenerationError
from imagegate.client.plain import plain
from imagegate.client.replicas import ask_each, replicas_of
from imagegate.client.stdout import say_json
from imagegate.runtime import duration
from imagegate.v1 import router_pb2

DAYS = 7
NO_REASON = "not stated"

Answer = TypeVar("Answer")
Question = Callable[[AsyncAdminClient], Awaitable[Answer]]

What = Annotated[str, typer.Argument(metavar="PROVIDER[/MODEL]", help="A provider, or one of its models.")]
Admin = Annotated[
    str,
    typer.Option(
        metavar="HOST:PORT", help=f"The admin port [IMAGEGATE_ADMIN, else port {ADMIN_PORT} of the router's host]."
    ),
]
Router = Annotated[
    str, typer.Option(metavar="HOST:PORT", help=f"The router whose host has the admin port {ADMIN_PORT}.")
]
All = Annotated[bool, typer.Option("--all", help="Every replica that the host's name resolves to.")]

app = typer.Typer(
    help="Decide about breakers for a while. What is to stay belongs into the configuration.",
    rich_markup_mode=None,
)


def _command(name: str, mode: Mode, story: str) -> None:
    """Add a command that decides; they differ by the mode and its story."""

    def decide(
        what: What,
        length: Annotated[
            str, typer.Option("--for", metavar="TIME", help=f"For how long: 90s, 30m, 1h, up to {DAYS}d.")
        ] = "1h",
        reason: Annotated[str, typer.Option(help="Why, for whoever looks at the status.")] = NO_REASON,
        actor: Annotated[str, typer.Option(metavar="NAME", help="Who decides [$USER].")] = "",
        with_all: All = False,
        admin: Admin = "",
        router: Router = "",
        timeout: Timeout = ASK_TIMEOUT,
        as_json: Json = False,
    ) -> int:
        provider, _, model = what.partition("/")
        seconds = _seconds(length)

        async def question(client: AsyncAdminClient) -> router_pb2.BreakerOverride:
            return await client.override_breaker(
                provider, model, mode=mode, reason=reason, actor=actor or _user(), seconds=seconds
            )

        answered, failed = _ask(_address(admin, router), question, with_all=with_all, timeout=timeout)
        if as_json:
            _say_json({address: {"override": plain(made)} for address, made in answered.items()}, failed)
        else:
            output.print_decisions(output.console(), what, answered)
        return _told(failed, as_json=as_json)

    app.command(name, help=story)(reaching(decide))


_command("open", "OPEN", "Send nobody there.")
_command("close", "CLOSED", "Let requests pass, and forget what had opened it.")
_command("observe", "OBSERVE_ONLY", "Let the breaker go on counting, and hold nobody back.")


@app.command()
@reaching
def clear(
    what: What,
    with_all: All = False,
    admin: Admin = "",
    router: Router = "",
    timeout: Timeout = ASK_TIMEOUT,
    as_json: Json = False,
) -> int:
    """Take a decision back before its end."""
    provider, _, model = what.partition("/")

    async def question(client: AsyncAdminClient) -> None:
        await client.clear_override(provider, model)

    answered, failed = _ask(_address(admin, router), question, with_all=with_all, timeout=timeout)
    if as_json:
        _say_json({address: {} for address in answered}, failed)
    else:
        output.print_decisions(output.console(), what, answered)
    return _told(failed, as_json=as_json)


@app.command("list")
@reaching
def list_(
    with_all: All = False,
    admin: Admin = "",
    router: Router = "",
    timeout: Timeout = ASK_TIMEOUT,
    as_json: Json = False,
) -> int:
    """List the decisions in force."""
    answered, failed = _ask(
        _address(admin, router), lambda client: client.list_overrides(), with_all=with_all, timeout=timeout
    )
    if as_json:
        _say_json({address: plain(told) for address, told in answered.items()}, failed)
    elif answered:
        output.print_overrides(output.console(), {address: told.overrides for address, told in answered.items()})
    return _told(failed, as_json=as_json)


def _ask(
    address: str, question: Question[Answer], *, with_all: bool, timeout: float
) -> tuple[dict[str, Answer], dict[str, GenerationError]]:
    """What the replica, or each one, answers, and who failed. One alone that fails raises GenerationError."""

    # A replica is called by its address, and its certificate has the name behind which they all are.
    name = host_name(address)

    async def ask(address: str) -> Answer:
        async with AsyncAdminClient(address, timeout=timeout, **reach(name)) as client:
            return await question(client)

    async def ask_all() -> tuple[dict[str, Answer], dict[str, GenerationError]]:
        return await ask_each(await replicas_of(address, ADMIN_PORT), ask)

    return asyncio.run(ask_all()) if with_all else ({address: asyncio.run(ask(address))}, {})


def _say_json(answered: Mapping[str, Mapping[str, Any]], failed: Mapping[str, GenerationError]) -> None:
    told = {**answered, **{address: {"error": error.to_dict()} for address, error in failed.items()}}
    say_json({"replicas": [{"address": address, **each} for address, each in told.items()]})


def _told(failed: Mapping[str, GenerationError], *, as_json: bool) -> int:
    """Tell who failed, where that was not told; the exit code."""
    if not as_json:
        output.print_silent(output.console(stderr=True), failed)
    return exits.FAILED if failed else 0


def _address(admin: str, router: str) -> str:
    try:
        return admin_address(admin, router, os.environ)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _seconds(length: str) -> float:
    seconds = duration.seconds(length)
    if seconds is None or not 0 < seconds <= DAYS * 86_400:
        raise typer.BadParameter(f"--for takes a time up to {DAYS}d, as in 90s, 30m or 1h, not {length!r}")
    return seconds


def _user() -> str:
    return os.environ.get("USER") or f"uid {os.getuid()}"
