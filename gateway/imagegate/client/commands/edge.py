"""`open` and `key`: the edge's page, and keys for the edge."""

import os
import sys
import webbrowser
from collections.abc import Mapping
from typing import Annotated, Literal

import grpc
import typer
from pydantic import TypeAdapter, ValidationError

from imagegate.client import key as keys
from imagegate.client import output
from imagegate.client.commands.options import Json
from imagegate.client.edge_file import EdgeAddress, running
from imagegate.client.error import GenerationError
from imagegate.client.stdout import say, say_json
from imagegate.runtime.bearer import new_key
from imagegate.runtime.errors import Reason
from imagegate.runtime.settings import BaseUrl

EDGE_VARIABLE = "IMAGEGATE_EDGE"
# Where a program that is told to open a page shows a window.
DESKTOPS = {"darwin", "win32"}
DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")


def open_page(
    edge: Annotated[str, typer.Option(metavar="URL", help=f"Another edge [{EDGE_VARIABLE}, else that of `up`].")] = "",
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address.")] = False,
    as_json: Json = False,
) -> None:
    """Print the page's address, and open it on a desktop.

    It holds the key that `imagegate up` has made; on another edge the page asks for one.
    """
    address = edge_address(edge, os.environ)
    if as_json:
        say_json({"address": address.link, "url": address.url, "key": address.key})
        return
    say(address.link)
    if not no_browser and shows_windows(os.environ, sys.platform, is_terminal=sys.stdout.isatty()):
        webbrowser.open(address.link)


def key(
    user: Annotated[str, typer.Option(metavar="NAME", help="Whose pictures are made with it.")],
    role: Annotated[keys.Role, typer.Option(help="An operator decides about breakers, too.")] = keys.Role.USER,
    tier: Annotated[
        Literal["free", "basic", "pro", "enterprise"] | None, typer.Option(help="Only models up to this tier.")
    ] = None,
    note: Annotated[str, typer.Option(metavar="TEXT", help="For people: which of a user's keys this is.")] = "",
    as_json: Json = False,
) -> None:
    """Make a key for the edge, and its entry for the keys file.

    It is shown this once: the entry holds its hash only.
    """
    if not keys.USER.fullmatch(user):
        raise typer.BadParameter(f"a user is {keys.USER_RULE}", param_hint="--user")
    if len(note) > keys.MAX_NOTE_LENGTH or not note.isprintable():
        raise typer.BadParameter(f"is one line of at most {keys.MAX_NOTE_LENGTH} characters", param_hint="--note")
    made = new_key()
    entry = keys.entry(made, user, role, tier=tier or "", note=note)
    if as_json:
        say_json({"key": made, "entry": entry})
    else:
        output.print_key(output.console(), made, keys.as_yaml(entry))


def edge_address(given: str, environ: Mapping[str, str]) -> EdgeAddress:
    """The edge `given`, else that of IMAGEGATE_EDGE, else that of the `up` which runs here.

    Raises typer.BadParameter where it is no web address, and GenerationError where none runs.
    """
    if named := (given or environ.get(EDGE_VARIABLE, "")).strip():
        return EdgeAddress(_checked(named).rstrip("/"))
    found = running(environ)
    if found is None:
        raise GenerationError(
            Reason.UNREACHABLE,
            f"no edge runs here; start one with `imagegate up`, or name another with --edge or {EDGE_VARIABLE}",
            code=grpc.StatusCode.UNAVAILABLE,
        )
    return found


def shows_windows(environ: Mapping[str, str], platform: str, *, is_terminal: bool) -> bool:
    """Whether a person looks who would see a window: what a browser without one prints would be in the way."""
    return is_terminal and (platform in DESKTOPS or any(environ.get(name) for name in DISPLAYS))


def _checked(url: str) -> str:
    try:
        return TypeAdapter(BaseUrl).validate_python(url)
    except ValidationError as error:
        [problem] = error.errors()
        told = problem["msg"].removeprefix("Value error, ")
        raise typer.BadParameter(f"{told}, for example http://127.0.0.1:8080", param_hint="--edge") from None
