"""Where the pictures' bytes are: an object store, each under its own sum, so that the same picture is kept once."""

import asyncio
import errno
import os
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import obstore
import structlog
from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from imagegate.edge.problem import Problem, no_room
from imagegate.runtime.settings import SettingsError

log = structlog.get_logger(__name__)

Store = LocalStore | S3Store

VARIABLE = "IMAGEGATE_EDGE_PICTURES"
# Seconds after which a storage that does not answer has had its two more tries.
GIVE_UP_AFTER = timedelta(seconds=20)
# A picture is read in pieces of so many bytes, however slowly its reader takes them.
PIECE_BYTES = 256 * 1024
# Objects that are looked at together.
LISTED = 500
# What is being written to a folder lies here until it is whole.
INCOMING = "incoming"
# Whose pictures these are: the id of a database.
OWNER = "owner"
# How a system says so; obstore passes the number on in its text only.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_OURS = re.compile(r"[0-9a-f]{2}/([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Stored:
    """One object: its sum, and when it was written, in seconds since the epoch."""

    sha256: str
    written: float


class Objects:
    """Bytes by their SHA-256. What is written is there whole and for good, or not at all.

    Raises Problem where the storage does not do its work: 507 where it is full, else 503; FileNotFoundError for what
    is not there.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    @classmethod
    def at(cls, url: str) -> "Objects":
        """A folder (file:///…, made where it is missing, for nobody else to read) or a bucket (s3://bucket/prefix; how
        to get there is in AWS_… variables). Raises SettingsError for an address that is none.
        """
        try:
            match urlsplit(url).scheme:
                case "file":
                    return cls(LocalStore(_private(Path(unquote(urlsplit(url).path)))))
                case "s3":
                    retry = {"max_retries": 2, "retry_timeout": GIVE_UP_AFTER}
                    return cls(S3Store.from_url(url, retry_config=retry))  # type: ignore[arg-type]
        except (ValueError, OSError, BaseError) as error:
            raise SettingsError(f"{VARIABLE}: pictures cannot be kept there ({_first_line(error)})") from error
        raise SettingsError(f"{VARIABLE}: must be file:///folder or s3://bucket/prefix")

    @property
    def folder(self) -> Path | None:
        """The folder that they are in, where it is one."""
        return self._store.prefix if isinstance(self._store, LocalStore) else None

    async def check(self) -> None:
        """Write something, and take it away again. Raises SettingsError where that is not possible."""
        probe = f"{INCOMING}/{uuid4().hex}"
        try:
            await obstore.put_async(self._store, probe, b"imagegate")
            await obstore.delete_async(self._store, probe)
        except (OSError, BaseError) as error:
            raise SettingsError(
                f"{VARIABLE}: nothing can be kept there ({_first_line(error)}); "
                "a folder has to be writable, a bucket to exist and AWS_… variables to let one in"
            ) from error

    async def put(self, sha256: str, data: bytes) -> None:
        """Keep `data`; it counts as written now, even where the same was there."""
        with _told("kept"):
            if self.folder is None:
                await obstore.put_async(self._store, _path(sha256), data, use_multipart=False)
            else:
                await self._put_in(self.folder, _path(sha256), data)

    async def has(self, sha256: str) -> bool:
        """Whether it is there."""
        try:
            await self.size(sha256)
        except FileNotFoundError:
            return False
        return True

    async def size(self, sha256: str) -> int:
        """Its bytes."""
        with _told("read"):
            return (await obstore.head_async(self._store, _path(sha256)))["size"]

    async def get(self, sha256: str) -> bytes:
        """All of it."""
        with _told("read"):
            found = await obstore.get_async(self._store, _path(sha256))
            return bytes(await found.bytes_async())

    async def open(self, sha256: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """What it holds from `start` to before `stop`, in pieces. It is there when this returns; what happens later
        is raised while it is read.
        """
        with _told("read"):
            found = await obstore.get_async(self._store, _path(sha256), options={"range": (start, stop)})
        return _pieces(found)

    async def listed(self) -> AsyncIterator[list[Stored]]:
        """All objects of ours, some at a time; whatever else lies there is none of them."""
        with _told("listed"):
            async for some in obstore.list(self._store, chunk_size=LISTED):
                named = ((_OURS.fullmatch(each["path"]), each) for each in some)
                yield [Stored(name[1], each["last_modified"].timestamp()) for name, each in named if name]

    async def remove(self, sums: Sequence[str]) -> None:
        """Take these away; one that is not there is none to take away."""
        with _told("removed"):
            try:
                await obstore.delete_async(self._store, [_path(sha256) for sha256 in sums])
            except FileNotFoundError:
                for sha256 in sums:
                    with suppress(FileNotFoundError):
                        await obstore.delete_async(self._store, _path(sha256))

    async def tidy(self, before: float) -> int:
        """Remove what was not written to its end before this time (seconds since the epoch); how many files."""
        return await asyncio.to_thread(_tidied, self.folder / INCOMING, before) if self.folder else 0

    async def belongs_to(self, owner: str) -> bool:
        """Whether these pictures are this owner's. They are those of the first one who asks."""
        with _told("read"):
            try:
                found = await obstore.get_async(self._store, OWNER)
                return bytes(await found.bytes_async()) == owner.encode()
            except FileNotFoundError:
                await obstore.put_async(self._store, OWNER, owner.encode(), use_multipart=False)
                return True

    async def _put_in(self, folder: Path, path: str, data: bytes) -> None:
        # obstore leaves it to the system when bytes get to the disk: after a power cut a file could be there, empty.
        staged = f"{INCOMING}/{uuid4().hex}"
        try:
            await obstore.put_async(self._store, staged, data, use_multipart=False)
            await asyncio.to_thread(_synced, folder / staged)
            await obstore.rename_async(self._store, staged, path)
            await asyncio.to_thread(_synced, (folder / path).parent, folder)
        except BaseException:
            (folder / staged).unlink(missing_ok=True)
            raise


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Say in one way what is wrong with the storage; of what is read it may also be that it is not there."""
    try:
        yield
    except (OSError, BaseError) as error:
        if what == "read" and isinstance(error, FileNotFoundError):
            raise
        # Its own words may hold addresses, so they are for the log only.
        log.warning("storage_failed", what=what, error=_first_line(error))
        if getattr(error, "errno", None) in FULL or any(f"os error {number}" in str(error) for number in FULL):
            raise no_room("the storage of pictures has no room left") from error
        raise Problem(
            503, "STORE_UNAVAILABLE", "the storage of pictures does not answer; try again soon", retry_after=5
        ) from error


async def _pieces(found: "obstore.GetResult") -> AsyncIterator[bytes]:
    with _told("read"):
        async for piece in found.stream(PIECE_BYTES):
            yield bytes(piece)


def _synced(*places: Path) -> None:
    for place in places:
        descriptor = os.open(place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _private(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _tidied(folder: Path, before: float) -> int:
    removed = 0
    if folder.is_dir():
        for file in folder.iterdir():
            with suppress(FileNotFoundError):
                if file.stat().st_mtime < before:
                    file.unlink()
                    removed += 1
    return removed


def _path(sha256: str) -> str:
    return f"{sha256[:2]}/{sha256}"


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:300] or type(error).__name__
