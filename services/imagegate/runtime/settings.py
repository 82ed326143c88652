"""What a process reads from its environment, once, in `__main__`.

Keys come from a variable or from a file named by the same variable with `_FILE` (a mounted
secret), which is read again when it changes.
"""

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from pathlib import Path
from secrets import token_hex
from typing import Annotated, Literal, Self

import platformdirs
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from yarl import URL

PROVIDER_PREFIX = "IMAGEGATE_{provider}_"
BIND_VARIABLE = "IMAGEGATE_BIND"
DEFAULT_BIND = "127.0.0.1"
DATA_VARIABLE = "IMAGEGATE_DATA"


class SettingsError(ValueError):
    """Settings that cannot be used; the message names every variable that is wrong."""


_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
# An IPv6 address, or a host's name as it goes over the wire.
_HOST = re.compile(rf"[0-9a-f:.]*:[0-9a-f:.]*|{_LABEL}(?:\.{_LABEL})*\.?", re.IGNORECASE)


def _base_url(value: str) -> str:
    """`value`, if calls can be made below it. The messages do not repeat it: it may hold a password."""
    if any(sign in value for sign in "?#\\") or not value.isprintable() or " " in value:
        raise ValueError("must be a URL without a query, a fragment or spaces")
    try:
        url = URL(value)
        host, port = url.raw_host or "", url.port
    except ValueError:
        raise ValueError("must be a URL: http://host:port/path, the port at most 65535") from None
    if url.scheme not in ("http", "https") or not _HOST.fullmatch(host) or not port:
        raise ValueError("must be a URL that begins with http:// or https:// and names a host")
    if "@" in url.raw_authority or "@" in value.partition("://")[2].partition("/")[0]:
        raise ValueError("must hold no user and password: those have variables of their own")
    return value


# Where an upstream is: http or https, a host, perhaps a port and a path, and nothing that a key could hide in.
BaseUrl = Annotated[str, AfterValidator(_base_url)]


class EnvironmentSettings(BaseModel):
    """Settings whose fields' aliases are the names of environment variables, less a prefix."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True, hide_input_in_errors=True)

    @classmethod
    def read(cls, environ: Mapping[str, str], prefix: str = "") -> Self:
        """The settings in `environ`; an empty variable counts as unset.

        Raises SettingsError naming every variable that is wrong.
        """
        found = {
            name.removeprefix(prefix): value for name, value in environ.items() if name.startswith(prefix) and value
        }
        try:
            return cls.model_validate(found)
        except ValidationError as error:
            problems = [
                f"{_variable(prefix, each['loc'])}{each['msg'].removeprefix('Value error, ')}"
                for each in error.errors()
            ]
            raise SettingsError("; ".join(problems)) from error


def _variable(prefix: str, place: tuple[int | str, ...]) -> str:
    """Which variable is wrong; what is wrong with several together names them itself."""
    return f"{prefix}{'.'.join(map(str, place))}: " if place else ""


class ProcessSettings(EnvironmentSettings):
    """What every process of ours takes (variables begin with IMAGEGATE_)."""

    bind: str = Field(default=DEFAULT_BIND, alias="BIND")
    port: int = Field(default=50051, ge=0, le=65535, alias="PORT")
    http_port: int = Field(default=9464, ge=0, le=65535, alias="HTTP_PORT")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", alias="LOG_LEVEL")
    log_format: Literal["json", "console"] = Field(default="json", alias="LOG_FORMAT")
    log_prompts: bool = Field(default=True, alias="LOG_PROMPTS")
    reflection: bool = Field(default=True, alias="REFLECTION")
    channelz: bool = Field(default=True, alias="CHANNELZ")
    drain_seconds: float = Field(default=1.0, ge=0, le=60, alias="DRAIN_SECONDS")
    replicas: int = Field(default=1, ge=1, le=1000, alias="REPLICAS")
    grace_seconds: float = Field(default=120.0, ge=0, le=900, alias="GRACE_SECONDS")
    # Whether a request may name its pictures by their addresses, which are then fetched from here.
    input_uris: bool = Field(default=False, alias="INPUT_URIS")
    # What the gRPC ports show (without it they speak in the clear), and whom they ask for a certificate: everybody, by
    # one of these authorities.
    tls_cert_file: Path | None = Field(default=None, alias="TLS_CERT_FILE")
    tls_key_file: Path | None = Field(default=None, alias="TLS_KEY_FILE")
    tls_client_ca_file: Path | None = Field(default=None, alias="TLS_CLIENT_CA_FILE")
    # A folder with the operator's own poses.
    pose_templates: Path | None = Field(default=None, alias="POSE_TEMPLATES")

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise ValueError("IMAGEGATE_TLS_CERT_FILE and IMAGEGATE_TLS_KEY_FILE go together")
        if self.tls_client_ca_file is not None and self.tls_cert_file is None:
            raise ValueError("IMAGEGATE_TLS_CLIENT_CA_FILE takes IMAGEGATE_TLS_CERT_FILE and IMAGEGATE_TLS_KEY_FILE")
        return self


def data_folder(environ: Mapping[str, str]) -> Path:
    """Where a process keeps what has to last: IMAGEGATE_DATA, else the folder that this system has for it."""
    return Path(environ.get(DATA_VARIABLE) or platformdirs.user_data_dir("imagegate", appauthor=False))


def is_loopback(bind: str) -> bool:
    """Whether only this machine reaches who listens on `bind`."""
    try:
        return ip_address(bind.strip("[]")).is_loopback
    except ValueError:
        return bind == "localhost"


class ProviderSettings(EnvironmentSettings):
    """Switch and limits of one provider (variables begin with IMAGEGATE_<PROVIDER>_)."""

    enabled: bool = Field(default=True, alias="ENABLED")
    concurrency: int | None = Field(default=None, ge=1, le=1000, alias="CONCURRENCY")
    requests_per_second: float | None = Field(default=None, gt=0, allow_inf_nan=False, alias="REQUESTS_PER_SECOND")
    requests_per_day: int | None = Field(default=None, ge=1, alias="REQUESTS_PER_DAY")
    # Whether ids outside its catalogue are taken; None leaves it as models.yaml has it.
    any_model: bool | None = Field(default=None, alias="ANY_MODEL")

    @classmethod
    def of(cls, provider: str, environ: Mapping[str, str]) -> Self:
        """The settings of `provider`."""
        return cls.read(environ, PROVIDER_PREFIX.format(provider=provider.upper()))


class Secret:
    """A key in `variable`, or in the file that `variable`_FILE names; never shown by `repr`.

    `on_value` hears every value before it is used, so that the log can be scrubbed of it. `revision` is a random token
    that is new with every new value; it tells that the key has changed, and nothing about the key.
    """

    def __init__(self, variable: str, environ: Mapping[str, str], on_value: Callable[[str], None]) -> None:
        self.variable = variable
        self._value = environ.get(variable, "").strip()
        self._file = Path(environ[f"{variable}_FILE"]) if environ.get(f"{variable}_FILE") else None
        self._stamp: tuple[int, int, int] | None = None
        self._on_value = on_value
        self._revision = token_hex(8)
        if self._value:
            on_value(self._value)

    def __repr__(self) -> str:
        return f"<Secret {self.variable}>"

    def value(self) -> str:
        """The key as it is now; empty where there is none."""
        if self._file is not None and not self._is_current(self._file):
            content = _content(self._file)
            self._stamp = self._stamp if content is not None else None
            if (content or "") != self._value:
                self._revision = token_hex(8)
            self._value = content or ""
            if self._value:
                self._on_value(self._value)
        return self._value

    @property
    def revision(self) -> str:
        """A token that changes when the key does, as it is now."""
        self.value()
        return self._revision

    def _is_current(self, file: Path) -> bool:
        try:
            stat = file.stat()
        except OSError:
            stamp = None
        else:
            stamp = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
        unchanged = stamp == self._stamp and stamp is not None
        self._stamp = stamp
        return unchanged


def _content(file: Path) -> str | None:
    """What a secret's file holds; None where it cannot be read (it may go at any moment)."""
    try:
        return file.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError):
        return None
