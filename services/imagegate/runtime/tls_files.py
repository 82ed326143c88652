"""Certificates and keys in files, taken anew when they change.

Whoever renews them writes one file after the other, so what is there may not fit together for a moment: then what was
there before stays in use, and that is told.
"""

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import structlog

from imagegate.runtime.certificate import expiry_of
from imagegate.runtime.settings import SettingsError

log = structlog.get_logger()

Stamp = tuple[int, int, int] | None  # when, which and how large; None where there is no such file


@dataclass(frozen=True, slots=True)
class TlsPaths:
    """Where our own certificate with its chain and its key are, and the certificates of those whom we believe."""

    cert: Path | None = None
    key: Path | None = None
    ca: Path | None = None

    def __post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            raise SettingsError("a certificate and its key go together: name both files, or neither")

    @property
    def named(self) -> tuple[Path, ...]:
        """Those that there are."""
        return tuple(path for path in (self.cert, self.key, self.ca) if path is not None)


@dataclass(frozen=True, slots=True)
class Material:
    """What the files hold, as PEM; empty where no file is named. `expires` is when the own certificate does, in seconds
    since 1970.
    """

    cert: bytes = b""
    key: bytes = b""
    ca: bytes = b""
    expires: float | None = None


class TlsFiles:
    """The files as they are now. Any thread may ask. Raises SettingsError where they cannot be used to begin with."""

    def __init__(self, paths: TlsPaths, changed: Callable[[], None] = lambda: None) -> None:
        """`changed` hears of each new material, in the thread that found it."""
        self._paths = paths
        self._changed = changed
        self._lock = Lock()
        self._stamps = self._look()
        self._told: tuple[object, ...] = ()
        self._is_current = True
        self._revision = 0
        self._material = _read(paths)

    def __repr__(self) -> str:
        return f"<TlsFiles {', '.join(map(str, self._paths.named))} revision {self._revision}>"

    @property
    def revision(self) -> int:
        """A number that grows with each new material."""
        return self.current()[0]

    @property
    def is_current(self) -> bool:
        """Whether what is in use is what the files hold."""
        self.current()
        return self._is_current

    @property
    def expires(self) -> float | None:
        """When the own certificate does, in seconds since 1970; None where there is none."""
        return self.current()[1].expires

    def current(self) -> tuple[int, Material]:
        """What is in use from now on, and its revision. Nothing is read unless a file has changed."""
        with self._lock:
            stamps = self._look()
            if stamps != self._stamps or not self._is_current:
                self._take(stamps)
            return self._revision, self._material

    def _take(self, stamps: tuple[Stamp, ...]) -> None:
        try:
            material = _read(self._paths)
            if self._look() != stamps:
                raise SettingsError("the files are being written")
        except SettingsError as error:
            self._is_current = False
            if self._told != (stamps, str(error)):
                self._told = (stamps, str(error))
                log.error("tls_not_reloaded", problem=str(error))  # noqa: TRY400 - the operator's, told in full
            return
        self._stamps, self._is_current, self._told = stamps, True, ()
        if material != self._material:
            self._material = material
            self._revision += 1
            log.info("tls_reloaded", files=[str(path) for path in self._paths.named], revision=self._revision)
            self._changed()

    def _look(self) -> tuple[Stamp, ...]:
        return tuple(map(_stamp, self._paths.named))


def _stamp(path: Path) -> Stamp:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ino, stat.st_size


def _read(paths: TlsPaths) -> Material:
    """What the files hold. Raises SettingsError where that is nothing that can be used; it repeats nothing of it."""
    cert, key, ca = (_content(path) for path in (paths.cert, paths.key, paths.ca))
    if paths.cert is not None and paths.key is not None:
        try:
            # OpenSSL takes files only; a password is given so that it never asks a terminal for one.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(paths.cert, paths.key, password="")
        except (ssl.SSLError, OSError, ValueError) as error:
            raise SettingsError(f"{paths.cert} and {paths.key} are no certificate and its key") from error
    if paths.ca is not None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=ca.decode("ascii"))
        except (ssl.SSLError, ValueError) as error:
            raise SettingsError(f"{paths.ca} holds no certificates (PEM)") from error
    return Material(cert, key, ca, expiry_of(cert) if cert else None)


def _content(path: Path | None) -> bytes:
    try:
        return path.read_bytes() if path is not None else b""
    except OSError as error:
        raise SettingsError(f"{path} cannot be read ({error.strerror})") from error
