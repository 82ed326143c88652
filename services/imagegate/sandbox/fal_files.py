"""fal's storage: files that clients upload, at public URLs. It is the CDN's way, or that of a signed address.

What is larger than 100 MiB is uploaded in parts, which is not played. In which words the CDN refuses a token is
inferred.
"""

import binascii
import io
import json
import uuid
import zipfile
from base64 import b64decode
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from aiohttp import web

from imagegate.runtime import images
from imagegate.sandbox.call import RefusedError, answer_of

CDN = "/fal/cdn"
UPLOADED_PATH = f"{CDN}/files/uploaded/"
SIGNED_PATH = "/fal/rest/signed/"
TOKEN_LIFE = timedelta(hours=1)
# Bytes of all uploads together.
MAX_KEPT = 256 * 1024 * 1024


class Upload(NamedTuple):
    """A file as it was uploaded."""

    data: bytes
    content_type: str


class Files:
    """Uploaded files by name, at most `max_kept` bytes of them. Whoever has an address may read it."""

    def __init__(self, max_kept: int = MAX_KEPT) -> None:
        self._max_kept = max_kept
        self._files: OrderedDict[str, Upload] = OrderedDict()
        self._size = 0
        self._tokens: dict[str, datetime] = {}

    async def token(self, request: web.Request) -> web.Response:
        """Let the owner of a key, which has been checked, upload for an hour."""
        now = datetime.now(UTC)
        self._tokens = {token: expires for token, expires in self._tokens.items() if expires > now}
        token = f"sandbox-{uuid.uuid4().hex}"
        self._tokens[token] = now + TOKEN_LIFE
        expires = (now + TOKEN_LIFE).isoformat()
        base = f"{request.scheme}://{request.host}{CDN}"
        return answer_of(200, {"token": token, "token_type": "Bearer", "base_url": base, "expires_at": expires})

    async def upload(self, request: web.Request) -> web.Response:
        """Take a file under a token. Raises RefusedError: 401 without one, 400 for what is not sent as documented."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or token not in self._tokens:
            raise RefusedError(401, {"detail": "Invalid token"})
        if lifecycle := request.headers.get("X-Fal-Object-Lifecycle"):
            _check_lifecycle(lifecycle)
        data = await request.read()
        if not data or "Content-Type" not in request.headers:
            raise RefusedError(400, {"detail": "A file needs content and a content type"})
        name = request.headers.get("X-Fal-File-Name", "upload.bin")
        return answer_of(200, {"access_url": _origin(request) + self._keep(name, data, request.content_type)})

    async def initiate(self, request: web.Request, body: object) -> web.Response:
        """Sign an address to which a file may be sent without any key, which has been checked here."""
        if not isinstance(body, dict) or {"file_name", "content_type"} != set(body):
            raise RefusedError(422, {"detail": "file_name and content_type are needed"})
        name = f"{uuid.uuid4().hex}/{_plain(str(body['file_name']))}"
        origin = _origin(request)
        return answer_of(200, {"upload_url": origin + SIGNED_PATH + name, "file_url": origin + UPLOADED_PATH + name})

    async def put(self, request: web.Request) -> web.Response:
        """Take a file at such an address."""
        self.store(request.match_info["name"], Upload(await request.read(), request.content_type))
        return answer_of(200, "")

    async def serve(self, request: web.Request) -> web.Response:
        """A file, for anybody."""
        found = self._files.get(request.match_info["name"])
        if found is None:
            raise RefusedError(404, "Not Found")
        return web.Response(body=found.data, content_type=found.content_type)

    def load(self, urls: Mapping[str, str]) -> dict[str, list[bytes]]:
        """The pictures at `urls`, by the same fields; an archive holds several.

        Only what was uploaded here, or lies in the URL itself, is read. Raises RefusedError as fal does: 422, or 400
        for a data URI that is none.
        """
        return {field: self._pictures(field, url) for field, url in urls.items()}

    def _pictures(self, field: str, url: str) -> list[bytes]:
        data = self._read(field, url)
        found = _unpacked(data) if "archive" in field else [data]
        try:
            for each in found:
                images.inspect(each)
        except images.NotAPicture:
            found = []
        if not found:
            raise _unusable(field, "image_load_error", "Image load error", url)
        return found

    def _read(self, field: str, url: str) -> bytes:
        if url.startswith("data:"):
            return _inline(url)
        _, path, name = url.partition(UPLOADED_PATH)
        found = self._files.get(name) if path else None
        if found is None:
            raise _unusable(field, "file_download_error", "File download error", url)
        return found.data

    def _keep(self, name: str, data: bytes, content_type: str) -> str:
        stored = f"{uuid.uuid4().hex}/{_plain(name)}"
        self.store(stored, Upload(data, content_type))
        return UPLOADED_PATH + stored

    def store(self, name: str, file: Upload) -> None:
        """Keep a file, and drop the oldest where all together are too large."""
        self._files[name] = file
        self._size += len(file.data)
        while self._size > self._max_kept:
            _, oldest = self._files.popitem(last=False)
            self._size -= len(oldest.data)


def _check_lifecycle(lifecycle: str) -> None:
    try:
        told = json.loads(lifecycle)
    except ValueError:
        told = None
    if not isinstance(told, dict) or not told.keys() <= {"expiration_duration_seconds", "initial_acl"}:
        raise RefusedError(400, {"detail": "Invalid X-Fal-Object-Lifecycle"})


def _inline(url: str) -> bytes:
    head, _, encoded = url.partition(",")
    try:
        if not head.endswith(";base64"):
            raise ValueError("not base64")
        return b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RefusedError(400, {"detail": "Unsupported data URL"}) from error


def _unpacked(data: bytes) -> list[bytes]:
    """What is in an archive; nothing where it is none."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return [archive.read(name) for name in archive.namelist()]
    except zipfile.BadZipFile:
        return []


def _unusable(field: str, kind: str, message: str, url: str) -> RefusedError:
    problem = {"loc": ["body", field], "msg": message, "type": kind, "input": url[:100]}
    return RefusedError(422, {"detail": [problem]}, {"x-fal-billable-units": "0"})


def _plain(name: str) -> str:
    """A name that can stand in a path."""
    return "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in name)[-100:]


def _origin(request: web.Request) -> str:
    return f"{request.scheme}://{request.host}"
