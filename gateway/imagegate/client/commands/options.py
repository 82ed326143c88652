"""The options that several commands share."""

import os
from enum import StrEnum
from typing import Annotated

import typer

from imagegate.client.address import DEFAULT_ROUTER, router_address

MAX_TIMEOUT = 86_400.0  # seconds


class World(StrEnum):
    """Which upstreams' behaviour the sandbox plays."""

    TODAY = "today"
    OF_2025 = "2025"


class PortChoice(StrEnum):
    """Which ports `up` takes."""

    FIXED = "fixed"
    AUTO = "auto"


def checked_router(given: str) -> str:
    """The router's address. Raises typer.BadParameter where it cannot be one."""
    try:
        return router_address(given, os.environ)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


Router = Annotated[
    str,
    typer.Option(
        callback=checked_router, metavar="HOST:PORT", help=f"The router [IMAGEGATE_ROUTER, else {DEFAULT_ROUTER}]."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Timeout = Annotated[float, typer.Option(min=0.001, max=MAX_TIMEOUT, metavar="SECONDS", help="How long to wait.")]
