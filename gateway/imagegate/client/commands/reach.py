"""How every command that asks a router, its admin port or a provider reaches it: the same options for all of them."""

import inspect
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from imagegate.client.transport import TransportFields
from imagegate.runtime.settings import SettingsError

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class ReachOptions:
    """The way to a router, or to a provider, as it is typed; each field is an option. The key is taken from
    IMAGEGATE_TOKEN only: others on the machine see what stands on a command line.
    """

    tls: Annotated[bool, typer.Option("--tls", help="Over TLS [IMAGEGATE_TLS; any file below means it, too].")] = False
    ca: Annotated[Path | None, typer.Option(metavar="FILE", help="Whom to believe, PEM [IMAGEGATE_TLS_CA_FILE].")] = (
        None
    )
    cert: Annotated[Path | None, typer.Option(metavar="FILE", help="Who we are [IMAGEGATE_TLS_CERT_FILE].")] = None
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its key [IMAGEGATE_TLS_KEY_FILE].")] = None

    def fields(self) -> TransportFields:
        """What the SDK takes."""
        return TransportFields(tls=self.tls or None, ca=self.ca, cert=self.cert, key=self.key)


_reach: ContextVar[ReachOptions] = ContextVar("imagegate_reach")


def reach(server_name: str = "") -> TransportFields:
    """The way that this command was told; `server_name` is the name in the other side's certificate where that is not
    the host that is called.
    """
    fields = _reach.get(ReachOptions()).fields()
    fields["server_name"] = server_name
    return fields


def reaching(command: Callable[..., Answer]) -> Callable[..., Answer]:
    """`command` as typer sees it: with the options of `ReachOptions` at its end."""
    own = inspect.signature(command).parameters.values()
    added = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in _options()]

    @wraps(command)
    def reached(**given: Any) -> Answer:
        token = _reach.set(ReachOptions(**{each.name: given.pop(each.name) for each in added}))
        try:
            return command(**given)
        except SettingsError as error:
            raise typer.BadParameter(str(error)) from error
        finally:
            _reach.reset(token)

    reached.__signature__ = inspect.Signature([*own, *added])  # type: ignore[attr-defined]
    return reached


def _options() -> list[inspect.Parameter]:
    return list(inspect.signature(ReachOptions).parameters.values())
