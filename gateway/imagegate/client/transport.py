"""How a router is reached: over TLS or not, as whom, and with which key."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypedDict

from imagegate.runtime.settings import Secret
from imagegate.runtime.tls_files import TlsFiles, TlsPaths
from imagegate.runtime.transport import PREFIX, TOKEN_VARIABLE, Transport, TransportSettings

File = str | os.PathLike[str]


class TransportFields(TypedDict, total=False):
    """Each in the place of a variable. Files are read again when they change.

    `tls` (IMAGEGATE_TLS): over TLS, which any of the files means as well; False: in the clear. `ca`
    (IMAGEGATE_TLS_CA_FILE): whom to believe, else the public authorities. `cert`, `key` (IMAGEGATE_TLS_CERT_FILE,
    IMAGEGATE_TLS_KEY_FILE): who we are. `server_name` (IMAGEGATE_TLS_SERVER_NAME): the name in the router's
    certificate, where that is not its host. `token` (IMAGEGATE_TOKEN): our key, or what gives it; an empty one is none.
    """

    tls: bool | None
    ca: File | None
    cert: File | None
    key: File | None
    server_name: str
    token: str | Callable[[], str] | None


def transport_of(fields: TransportFields, environ: Mapping[str, str]) -> Transport:
    """The transport that is meant. Raises SettingsError, a ValueError, where its files cannot be used."""
    settings = TransportSettings.read(environ, PREFIX)
    given = [fields.get(name) for name in ("ca", "cert", "key")]
    is_tls = fields.get("tls")
    if is_tls is None:
        is_tls = settings.is_tls or any(file is not None for file in given)
    return Transport(
        TlsFiles(_paths(fields, settings)) if is_tls else None,
        server_name=fields.get("server_name") or settings.server_name,
        token=_token(fields.get("token"), environ),
    )


def _paths(fields: TransportFields, settings: TransportSettings) -> TlsPaths:
    """The files; a certificate that is given takes its key along, whatever the environment has."""
    ca, cert, key = fields.get("ca"), fields.get("cert"), fields.get("key")
    own = (cert, key) if cert is not None or key is not None else (settings.cert, settings.key)
    return TlsPaths(*(None if each is None else Path(each) for each in (*own, settings.ca if ca is None else ca)))


def _token(given: str | Callable[[], str] | None, environ: Mapping[str, str]) -> Callable[[], str]:
    if given is None:
        return Secret(TOKEN_VARIABLE, environ, lambda _: None).value
    return given if callable(given) else lambda: given
