"""`edge.json` in the folder of data: where the edge of the running `imagegate up` is, and the key made for it."""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from imagegate.client.startup import CannotStartError
from imagegate.runtime.settings import DATA_VARIABLE, data_folder

NAME = "edge.json"


@dataclass(frozen=True, slots=True)
class EdgeAddress:
    """Where an edge is, a key for it (empty: none is known here), and the process of the `up` that runs it (0: it is
    not known).
    """

    url: str
    key: str = field(default="", repr=False)
    pid: int = 0

    @property
    def link(self) -> str:
        """What to open. The key stands in the fragment, which no browser sends to anybody."""
        return f"{self.url}/#key={self.key}" if self.key else f"{self.url}/"


@contextmanager
def noted(edge: EdgeAddress, environ: Mapping[str, str]) -> Iterator[None]:
    """Keep `edge` in the file, for its owner's eyes only, until the block is left; another one's is left alone.

    Raises CannotStartError where it cannot be written.
    """
    file = data_folder(environ) / NAME
    try:
        _write(file, json.dumps(asdict(edge)))
    except OSError as error:
        raise CannotStartError(
            f"{file} cannot be written ({error.strerror}); name another folder with {DATA_VARIABLE}"
        ) from error
    try:
        yield
    finally:
        if _read(file) == edge:
            with suppress(OSError):
                file.unlink()


def running(environ: Mapping[str, str]) -> EdgeAddress | None:
    """The edge of the `up` that runs on this machine; None where none does, whatever one that was killed has left."""
    edge = _read(data_folder(environ) / NAME)
    return edge if edge is not None and _is_alive(edge.pid) else None


def _write(file: Path, text: str) -> None:
    """Whole or not at all; `mkstemp` makes files that nobody else may read."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        out.write(text)
    Path(name).replace(file)


def _read(file: Path) -> EdgeAddress | None:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return EdgeAddress(str(found["url"]), str(found["key"]), int(found["pid"]))
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _is_alive(pid: int) -> bool:
    if pid <= 0:  # a group of processes
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return True
