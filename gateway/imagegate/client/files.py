"""Where the command line writes pictures: decided and tried before anything is paid for."""

import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from imagegate.client.result import Image

EXTENSIONS = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"}
SAME_EXTENSION = {".jpeg": ".jpg"}


class CannotWriteError(Exception):
    """Pictures cannot be written where they were asked for; the message is one sentence with the remedy."""


@dataclass(frozen=True, slots=True)
class Destination:
    """A folder, and the name that the files get there; without a `name` it comes from the request's id."""

    folder: Path
    name: str = ""

    @classmethod
    def of(cls, out: str) -> "Destination":
        """What `--out` means: a folder where it is one or ends in a slash, else a file.

        The folder is created if it is missing. Raises CannotWriteError where a file cannot be created there.
        """
        try:
            path = Path(out).expanduser()
            destination = cls(path) if out.endswith("/") or path.is_dir() else cls(path.parent, path.name)
            destination.try_it()
        except (OSError, ValueError, RuntimeError) as error:  # the last two: names that no file can have
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise CannotWriteError(
                f"pictures cannot be written to {out[:200]!r} ({why}); name another place with --out"
            ) from error
        return destination

    @classmethod
    def called(cls, folder: Path, name: str, image: Image) -> "Destination":
        """A file for `image` in a folder that is there, called after what somebody else has named."""
        return cls(folder, f"{_safe(name)}{_extension(image)}")

    def try_it(self) -> None:
        """Create a file there, and take it away again: no permission bit tells the truth as this does.

        Raises OSError where that fails.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self.folder, prefix=f".{self.name}"):
            pass

    def save(self, images: Sequence[Image], request_id: str) -> list[Path]:
        """Write the pictures, next to whatever is there already: no file is ever overwritten.

        Raises CannotWriteError where the disk says no after all.
        """
        return [self._save(image, number, len(images), request_id) for number, image in enumerate(images, start=1)]

    def _save(self, image: Image, number: int, total: int, request_id: str) -> Path:
        for path in self._free_names(image, number, total, request_id):
            try:
                return image.save(path)
            except FileExistsError:
                continue
            except OSError as error:
                raise CannotWriteError(f"picture {number} could not be written to {path} ({error.strerror})") from error
        raise AssertionError("there is always another name")

    def _free_names(self, image: Image, number: int, total: int, request_id: str) -> Iterator[Path]:
        wanted = Path(self.name or f"imagegate-{_safe(request_id)}-{number}")
        # A request's id may hold dots: only a name that the caller chose has an extension.
        extension = wanted.suffix if self.name else ""
        stem = wanted.name.removesuffix(extension)
        extension = extension or _extension(image)
        if self.name and total > 1:
            stem = f"{stem}-{number}"
        yield self.folder / f"{stem}{extension}"
        for again in count(2):
            yield self.folder / f"{stem}-{again}{extension}"


def is_misnamed(path: Path, image: Image) -> bool:
    """Whether the name that the caller chose promises another format than the picture has."""
    suffix = path.suffix.lower()
    return SAME_EXTENSION.get(suffix, suffix) != EXTENSIONS.get(image.mime_type)


def _extension(image: Image) -> str:
    return EXTENSIONS.get(image.mime_type, ".bin")


def _safe(name: str) -> str:
    """A request's id, or what somebody else calls something, as part of a file's name: a colon is legal in an id."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)
