"""A form of parts, out of the pieces that its body came in."""

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

from aiohttp import BodyPartReader, MultipartReader, StreamReader, hdrs
from aiohttp.http_exceptions import HttpProcessingError

from imagegate.edge.endpoint import KIB
from imagegate.edge.problem import Problem

MAX_PARTS = 64
MAX_PART_HEADERS = 16
MAX_PART_LINE_BYTES = 4 * KIB


@dataclass(frozen=True, slots=True)
class Upload:
    """A file of a form."""

    filename: str
    content_type: str
    data: bytes = field(repr=False)


@dataclass(slots=True)
class Form:
    """A form's texts and files by name, each in the order in which they came."""

    texts: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, list[Upload]] = field(default_factory=dict)


class Pieces:
    """What aiohttp's MultipartReader reads from; what it has read is no longer kept."""

    def __init__(self, pieces: deque[bytes | bytearray]) -> None:
        self._pieces = pieces

    def at_eof(self) -> bool:
        """Whether there is no more."""
        return not self._pieces

    async def read(self, size: int) -> bytes:
        """Up to `size` bytes; none at the end. Others may have a turn in between."""
        await asyncio.sleep(0)
        piece = self._pieces.popleft() if self._pieces else b""
        if len(piece) > size:
            self._pieces.appendleft(piece[size:])
        return bytes(piece[:size])

    async def readline(self, *, max_line_length: int | None = None) -> bytes:
        """One line, its end included, or what is left. Raises ValueError where it is longer than it may be."""
        line = b""
        while self._pieces and not line.endswith(b"\n"):
            piece = self._pieces.popleft()
            end = piece.find(b"\n") + 1
            if end and end < len(piece):
                self._pieces.appendleft(piece[end:])
            line += piece[:end] if end else piece
            if len(line) > (max_line_length or MAX_PART_LINE_BYTES):
                raise ValueError("a line is too long")
        return line

    def unread_data(self, data: bytes) -> None:
        """These come next, once more."""
        if data:
            self._pieces.appendleft(data)


async def form_of_parts(headers: Mapping[str, str], pieces: deque[bytes | bytearray]) -> Form:
    """The form that `pieces` are, by the request's `headers`. They are used up. Raises Problem."""
    try:
        reader = MultipartReader(
            headers,
            cast(StreamReader, Pieces(pieces)),
            max_field_size=MAX_PART_LINE_BYTES,
            max_headers=MAX_PART_HEADERS,
        )
        return await _read(reader)
    except (ValueError, RuntimeError, HttpProcessingError) as error:
        raise Problem(400, "INVALID_REQUEST", "the body is not a form of parts") from error


async def _read(reader: MultipartReader) -> Form:
    form = Form()
    parts = 0
    while (part := await reader.next()) is not None:
        parts += 1
        if parts > MAX_PARTS or not isinstance(part, BodyPartReader) or not part.name:
            raise Problem(400, "INVALID_REQUEST", f"a form has up to {MAX_PARTS} parts, each with a name")
        read = []
        while piece := await part.read_chunk(64 * KIB):
            read.append(piece)
        data = b"".join(read)
        if part.filename is None:
            form.texts.setdefault(part.name, []).append(data.decode())
        else:
            kind = part.headers.get(hdrs.CONTENT_TYPE, "application/octet-stream")
            form.files.setdefault(part.name, []).append(Upload(part.filename, kind, data))
    return form
