"""fal's CDN: finished pictures at public URLs. They are kept as recipes and drawn when someone fetches them."""

import base64
import uuid
from collections import OrderedDict
from dataclasses import replace
from typing import NamedTuple

from aiohttp import web

from imagegate.sandbox.call import CALL, RefusedError
from imagegate.sandbox.pictures import Picture

FILES_PATH = "/fal/cdn/files/"
MAX_FILES = 10_000
# Bytes of all that recipes were given to work with.
MAX_KEPT = 256 * 1024 * 1024


class StoredFile(NamedTuple):
    """A picture and the model that made it."""

    model: str
    picture: Picture
    size: int = 0


class Cdn:
    """Files by name, below `path`. No key is needed here; one that is sent all the same shows in the ledger."""

    def __init__(self, path: str = FILES_PATH) -> None:
        self._path = path
        self._files: OrderedDict[str, StoredFile] = OrderedDict()
        self._size = 0

    def store(self, model: str, picture: Picture, size: int = 0) -> str:
        """Keep a picture whose recipe holds `size` bytes of others; the path of its URL."""
        name = f"sandbox/{uuid.uuid4().hex}.{picture.format}"
        self._files[name] = StoredFile(model, picture, size)
        self._size += size
        while len(self._files) > MAX_FILES or self._size > MAX_KEPT:
            self._size -= self._files.popitem(last=False)[1].size
        return self._path + name

    def find(self, path: str) -> StoredFile | None:
        return self._files.get(path.removeprefix(self._path))

    async def serve(self, request: web.Request) -> web.Response:
        stored = self.find(request.path)
        if stored is None:
            raise RefusedError(404, "Not Found")
        picture = stored.picture
        if picture.spoilt is None:  # what was spoilt when it was made stays as it is
            picture = replace(picture, spoilt=request[CALL].spoilt)
        return web.Response(body=await picture.draw(), content_type=picture.content_type)


async def data_uri(picture: Picture) -> str:
    """The picture inline, for `sync_mode`."""
    return f"data:{picture.content_type};base64,{base64.b64encode(await picture.draw()).decode()}"
