"""The operator's own poses: pictures in a folder, each called after its file, as they are now.

`arms-up.png` is the pose `arms-up`; what `arms-up.txt` beside it says is its description. A picture that cannot be used
is logged once, and left out until it changes.
"""

import re
import stat
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

from imagegate.runtime import images
from imagegate.runtime.models import KEY_PATTERN
from imagegate.runtime.redaction import clip, one_line
from imagegate.runtime.settings import SettingsError

log = structlog.get_logger()

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
# Of so many pictures at most, the first by name, with so many bytes each.
MAX_PICTURES = 500
MAX_BYTES = 10 * 1024 * 1024
MAX_DESCRIPTION_BYTES = 256

# What changes with a picture, or with what is said of it.
Stamp = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PoseTemplate:
    """A pose that a request may refer to by name; sizes are pixels. `own` says that the operator has brought it."""

    name: str
    description: str
    width: int
    height: int
    own: bool = False


@dataclass(frozen=True, slots=True)
class _Seen:
    """One file as it was looked at; `template` is None where it cannot be used."""

    stamp: Stamp
    template: PoseTemplate | None


class PoseFolder:
    """Looks at a folder whenever it is asked, and at a picture in it whenever that has changed. Any thread may ask.

    Raises SettingsError where there is no such folder.
    """

    def __init__(self, folder: Path, variable: str) -> None:
        if not folder.is_dir():
            raise SettingsError(f"{variable}: there is no folder {folder}")
        self._folder = folder
        self._lock = threading.Lock()
        self._seen: dict[str, _Seen] = {}
        self._trouble = ""

    def __repr__(self) -> str:
        return f"<PoseFolder {self._folder} {len(self._seen)} pictures>"

    def templates(self) -> Mapping[str, PoseTemplate]:
        """Those that can be used, by name."""
        return {template.name: template for template in self._look().values()}

    def picture(self, name: str) -> bytes | None:
        """The picture called `name`, whole and checked; None where there is none that can be used."""
        file = next((file for file, template in self._look().items() if template.name == name), None)
        if file is None:
            return None
        try:
            return _read(self._folder / file)[0]
        except (OSError, ValueError):  # it has changed since it was looked at: the next look tells
            return None

    def _look(self) -> Mapping[str, PoseTemplate]:
        """Those that can be used, by their files."""
        with self._lock:
            names: set[str] = set()
            seen: dict[str, _Seen] = {}
            for file in self._files():
                name = Path(file).stem
                seen[file] = self._seen_as(file, name, is_second=name in names)
                names.add(name)
            self._seen = seen
            return {file: each.template for file, each in seen.items() if each.template is not None}

    def _files(self) -> list[str]:
        try:
            found = sorted(each.name for each in self._folder.iterdir() if _is_picture(each.name))
        except OSError as error:
            found, trouble = [], f"it cannot be read ({error.strerror})"
        else:
            is_over = len(found) > MAX_PICTURES
            trouble = f"of {len(found)} pictures the first {MAX_PICTURES} by name are taken" if is_over else ""
        if trouble and trouble != self._trouble:
            log.warning("poses are left out", folder=str(self._folder), why=trouble)
        self._trouble = trouble
        return found[:MAX_PICTURES]

    def _seen_as(self, file: str, name: str, *, is_second: bool) -> _Seen:
        """What a file is, looked at only where it has changed."""
        picture, words = self._folder / file, self._folder / f"{name}.txt"
        stamp = (*_stamp(picture), *_stamp(words), is_second)
        known = self._seen.get(file)
        if known is not None and known.stamp == stamp:
            return known
        try:
            if is_second:
                raise ValueError("another picture has the same name")
            if not re.fullmatch(KEY_PATTERN, name):
                raise ValueError("a name has 1 to 64 of a-z 0-9 . _ -, and begins with a letter or a digit")
            _, seen = _read(picture)
        except (OSError, ValueError) as error:
            why = (error.strerror if isinstance(error, OSError) else "") or str(error)
            log.warning("a pose is left out", file=str(picture), why=why)
            return _Seen(stamp, None)
        return _Seen(stamp, PoseTemplate(name, _description(words), seen.width, seen.height, own=True))


def _is_picture(file: str) -> bool:
    return file.lower().endswith(SUFFIXES) and not file.startswith(".")


def _stamp(file: Path) -> Stamp:
    try:
        found = file.stat()
    except OSError:
        return (0, 0, 0, 0)
    return (found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size)


def _read(file: Path) -> tuple[bytes, images.Inspected]:
    """A picture and what it is. Raises OSError or ValueError."""
    if not stat.S_ISREG(file.stat().st_mode):
        raise ValueError("it is no file")
    with file.open("rb") as opened:
        data = opened.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES // 1024**2} MiB")
    return data, images.inspect(data)


def _description(file: Path) -> str:
    """The first words of what is said of a pose, on one line; empty where nothing is."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            return ""
        with file.open("rb") as opened:
            said = opened.read(4 * MAX_DESCRIPTION_BYTES)
    except OSError:
        return ""
    return clip(" ".join(one_line(said.decode("utf-8", "replace")).split()), MAX_DESCRIPTION_BYTES)
