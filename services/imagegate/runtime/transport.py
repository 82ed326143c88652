"""How processes of ours are connected: TLS on both sides of a gRPC hop, and the key that a caller brings along."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Self, cast

import grpc
from pydantic import Field

from imagegate.runtime.bearer import header_of
from imagegate.runtime.metadata import AUTHORIZATION
from imagegate.runtime.settings import EnvironmentSettings, Secret
from imagegate.runtime.tls_files import Material, TlsFiles, TlsPaths

PREFIX = "IMAGEGATE_"
TOKEN_VARIABLE = "IMAGEGATE_TOKEN"  # noqa: S105 - a name

# How gRPC says that it does not believe the other side's certificate. That its own is not believed it never learns.
TLS_TROUBLE = ("handshake failed", "certificate_verify_failed", "hostname verification")
# How it says that there was no connection to begin with; everything else broke one that there was.
NEVER_CONNECTED = (
    "failed to connect",
    "connection refused",
    "connections to all",
    "dns",
    "errors resolving",
    "lookup failed",
)

Options = Iterable[tuple[str, str | int]]


class TransportSettings(EnvironmentSettings):
    """How others are called (variables begin with IMAGEGATE_). It is over TLS where IMAGEGATE_TLS says so, or where
    IMAGEGATE_TLS_CA_FILE names whom to believe; otherwise in the clear.
    """

    tls: bool | None = Field(default=None, alias="TLS")
    ca: Path | None = Field(default=None, alias="TLS_CA_FILE")
    cert: Path | None = Field(default=None, alias="TLS_CERT_FILE")
    key: Path | None = Field(default=None, alias="TLS_KEY_FILE")
    server_name: str = Field(default="", alias="TLS_SERVER_NAME")

    @property
    def is_tls(self) -> bool:
        """Whether to use TLS."""
        return self.ca is not None if self.tls is None else self.tls

    def files(self) -> TlsFiles | None:
        """The files, for TLS; None without it. Raises SettingsError where they cannot be used."""
        return TlsFiles(TlsPaths(self.cert, self.key, self.ca)) if self.is_tls else None


class Transport:
    """How others are called: with these TLS files (None: in the clear), expecting a certificate for `server_name`
    (empty: for the host that is called), and with the key that `token` gives just then (empty: none).
    """

    def __init__(
        self, files: TlsFiles | None = None, *, server_name: str = "", token: Callable[[], str] = lambda: ""
    ) -> None:
        self.files = files
        self._server_name = server_name
        self._token = token

    def __repr__(self) -> str:
        return f"<Transport {self.files or 'in the clear'}>"

    @classmethod
    def read(cls, environ: Mapping[str, str], on_secret: Callable[[str], None] = lambda _: None) -> Self:
        """As the environment says. Raises SettingsError."""
        settings = TransportSettings.read(environ, PREFIX)
        token = Secret(TOKEN_VARIABLE, environ, on_secret)
        return cls(settings.files(), server_name=settings.server_name, token=token.value)

    @property
    def revision(self) -> int:
        """Changes when channels have to be made anew: the files have others in them."""
        return self.files.revision if self.files is not None else 0

    def channel(self, target: str, options: Options) -> grpc.aio.Channel:
        """A new channel to `target`."""
        if self.files is None:
            return self._with_key(grpc.aio.insecure_channel(target, options=tuple(options)))
        _, material = self.files.current()
        named = (("grpc.ssl_target_name_override", self._server_name),) if self._server_name else ()
        credentials = grpc.ssl_channel_credentials(
            material.ca or None, material.key or None, material.cert or None
        )  # without a CA those that gRPC brings along
        return self._with_key(grpc.aio.secure_channel(target, credentials, options=(*options, *named)))

    def _with_key(self, channel: grpc.aio.Channel) -> grpc.aio.Channel:
        return cast(grpc.aio.Channel, _KeyedChannel(channel, self._token))


class _KeyedChannel:
    """A channel whose calls bring the key along, as it is when they begin.

    gRPC's own call credentials refuse to work in the clear, where a mesh may have secured the hop.
    """

    def __init__(self, channel: grpc.aio.Channel, token: Callable[[], str]) -> None:
        self._channel = channel
        self._token = token
        self._of_bytes: dict[tuple[Callable[..., Any], str], Callable[..., Any]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()

    def unary_unary(self, name: str, **options: Any) -> Callable[..., Any]:
        """A method with one answer. One of bytes, without `options`, is made once and not for each call."""
        return self._method(self._channel.unary_unary, name, options)

    def unary_stream(self, name: str, **options: Any) -> Callable[..., Any]:
        """A method with a stream of answers. One of bytes, without `options`, is made once and not for each call."""
        return self._method(self._channel.unary_stream, name, options)

    def stream_unary(self, *method: Any, **options: Any) -> Callable[..., Any]:
        """A method that takes a stream."""
        return self._keyed(self._channel.stream_unary(*method, **options))

    def stream_stream(self, *method: Any, **options: Any) -> Callable[..., Any]:
        """A method with streams both ways."""
        return self._keyed(self._channel.stream_stream(*method, **options))

    def _method(
        self, make: Callable[..., Callable[..., Any]], name: str, options: dict[str, Any]
    ) -> Callable[..., Any]:
        if options:
            return self._keyed(make(name, **options))
        if (make, name) not in self._of_bytes:
            self._of_bytes[make, name] = self._keyed(make(name))
        return self._of_bytes[make, name]

    def _keyed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def begin(request: Any, *, metadata: Iterable[tuple[str, str]] | None = None, **options: Any) -> Any:
            token = self._token()
            keyed = (*(metadata or ()), (AUTHORIZATION, header_of(token))) if token else metadata
            return call(request, metadata=keyed, **options)

        return begin


IN_THE_CLEAR = Transport()


def was_never_connected(error: grpc.aio.AioRpcError) -> bool:
    """Whether a call failed because there was no connection to begin with, so that nothing of it was ever sent."""
    words = (error.details() or "").lower()
    return error.code() is grpc.StatusCode.UNAVAILABLE and any(sign in words for sign in NEVER_CONNECTED)


def is_tls_trouble(details: str) -> bool:
    """Whether gRPC says that a connection failed because of a certificate, in its words for UNAVAILABLE."""
    return any(sign in details.lower() for sign in TLS_TROUBLE)


def server_credentials(files: TlsFiles, *, asks_for_certificates: bool) -> grpc.ServerCredentials:
    """What a server shows, and whom it asks for a certificate; both are looked at anew for each connection."""
    told, material = files.current()

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        nonlocal told
        revision, material = files.current()
        if revision == told:
            return None
        told = revision
        return _configuration(material)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(material),
        fetch,  # type: ignore[arg-type]  # None says that nothing has changed
        require_client_authentication=asks_for_certificates,
    )


def _configuration(material: Material) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(material.key, material.cert)], material.ca or None)
