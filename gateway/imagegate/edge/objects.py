"""Where the pictures' bytes are: an object store, each under its own sum, so that the same picture is kept once."""

from pathlib import Path

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import ObjectStore, from_url

from imagegate.runtime.settings import SettingsError


class Objects:
    """Bytes by their SHA-256. What is written is there whole or not at all."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    @classmethod
    def at(cls, url: str) -> "Objects":
        """A folder (file:///…, made where it is missing), or whatever else obstore reaches (s3://bucket/prefix).

        Raises SettingsError for an address that is none.
        """
        try:
            if url.startswith("file://"):
                Path(url.removeprefix("file://")).mkdir(parents=True, exist_ok=True)
            return cls(from_url(url))
        except (ValueError, OSError, obstore.exceptions.BaseError) as error:
            raise SettingsError(
                f"IMAGEGATE_EDGE_PICTURES: pictures cannot be kept there ({type(error).__name__})"
            ) from error

    async def put(self, sha256: str, data: bytes) -> None:
        """Keep `data`; what is there already is the same."""
        try:
            await obstore.put_async(self._store, _path(sha256), data, mode="create")
        except AlreadyExistsError:
            return

    async def get(self, sha256: str) -> bytes:
        """The bytes. Raises FileNotFoundError."""
        result = await obstore.get_async(self._store, _path(sha256))
        return bytes(await result.bytes_async())


def _path(sha256: str) -> str:
    return f"{sha256[:2]}/{sha256}"
