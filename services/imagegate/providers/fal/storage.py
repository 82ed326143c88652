"""Where fal finds the pictures that an order brings along: inside the submission, or in fal's own storage.

An upload takes a token, under which the CDN takes the file without our key. The token's answer names a host as well; it
is not used, nor does fal's own client use it for a file of this size: nothing goes to a host named in an answer.
"""

import asyncio
import json
from base64 import b64encode
from collections.abc import Mapping

from imagegate.providers.fal import wire
from imagegate.providers.fal.errors import before_submission
from imagegate.providers.fal.inputs_wire import ARCHIVE_TYPE, File
from imagegate.runtime.errors import Failure, Reason
from imagegate.runtime.redaction import Redactor
from imagegate.runtime.upstream import UpstreamClient

# Bytes of a picture that goes along in the submission itself: that spares two calls, and a copy at a public address.
# A picture of 1024² in JPEG is about as large.
MAX_INLINE_BYTES = 256 * 1024
# Seconds for all uploads of an order.
UPLOAD_SECONDS = 60.0
# Seconds after which fal forgets an uploaded file; no job of ours waits for longer.
KEPT_SECONDS = 3600


class Storage:
    """fal's storage, at its REST API and its CDN."""

    def __init__(self, client: UpstreamClient, rest_url: str, cdn_url: str) -> None:
        self._client = client
        self._token_url = f"{rest_url}/storage/auth/token?storage_type=fal-cdn-v3"
        self._upload_url = f"{cdn_url}/files/upload"

    def __repr__(self) -> str:
        return f"<Storage at {self._upload_url}>"

    async def place(self, files: Mapping[str, File]) -> dict[str, str]:
        """The address at which fal finds each of `files`, under the same name.

        Raises Failure: NOT_SENT, since nothing was asked for yet. Leaving ends what is under way.
        """
        placed = {name: _data_uri(file) for name, file in files.items() if _goes_along(file)}
        large = {name: file for name, file in files.items() if name not in placed}
        if not large:
            return placed
        try:
            async with asyncio.timeout(UPLOAD_SECONDS) as timer:
                return placed | await self._uploaded(large)
        except TimeoutError as error:
            if not timer.expired():
                raise  # not ours: a bug
            late = Failure(Reason.TIMEOUT, f"fal did not take the pictures in {UPLOAD_SECONDS:g} s")
            raise before_submission(late) from error
        except Failure as failure:
            raise before_submission(failure) from None

    async def _uploaded(self, files: Mapping[str, File]) -> dict[str, str]:
        """All of them side by side, under one token. The first failure ends the others."""
        authorization = wire.to_token(await self._client.json_call("POST", self._token_url, json={}))
        try:
            async with asyncio.TaskGroup() as group:
                tasks = {name: group.create_task(self._upload(file, authorization)) for name, file in files.items()}
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return {name: task.result() for name, task in tasks.items()}

    async def _upload(self, file: File, authorization: str) -> str:
        headers = {
            "Authorization": authorization,
            "Content-Type": file.mime_type,
            "X-Fal-File-Name": file.name,
            "X-Fal-Object-Lifecycle": json.dumps({"expiration_duration_seconds": KEPT_SECONDS}),
        }
        try:
            return wire.to_address(await self._client.upload(self._upload_url, file.data, headers))
        except Failure as failure:
            _hide(authorization, failure)
            raise


def _hide(authorization: str, failure: Failure) -> None:
    """Keep what a CDN may quote of the token out of what is told: the process's redactor knows no token."""
    redactor = Redactor()
    redactor.add(authorization.partition(" ")[2])
    failure.upstream_message = redactor.scrub(failure.upstream_message)


def _goes_along(file: File) -> bool:
    """Whether the file is small, and a picture: fal refuses some kinds of data in a URI."""
    return len(file.data) <= MAX_INLINE_BYTES and file.mime_type != ARCHIVE_TYPE


def _data_uri(file: File) -> str:
    return f"data:{file.mime_type};base64,{b64encode(file.data).decode()}"
