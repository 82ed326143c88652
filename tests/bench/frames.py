"""HTTP/2's frames (RFC 9113) and headers (RFC 7541), as far as unary calls of gRPC need them. Pure."""

from collections.abc import Iterator
from struct import Struct

from imagegate.runtime.serialised import read_varint

# What a frame begins with: its length and kind, its flags, its stream.
_HEAD = Struct(">IBI")
DATA, HEADERS, RESET, SETTINGS, PING, GO_AWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
ACKNOWLEDGED, END_STREAM, END_HEADERS, CANCELLED = 1, 1, 4, 8
# The last stream, and the widest window.
LAST_STREAM = MOST = 2**31 - 1
# What may be on its way to us: no server ever waits for room.
WINDOW = 2**28
_FIRST_WINDOW = 2**16 - 1
# No table of headers, no pushes, windows of streams as wide as they may be. The size of frames, and that bytes stand
# in headers as they are, is what gRPC's own clients ask for: servers have as much to do for us as for them.
_WANTED = {1: 0, 2: 0, 4: MOST, 5: 4 * 2**20, 0xFE03: 1}
_SETTING = Struct(">HI")
# Of a message that fits into one frame of any server's, after gRPC's prefix.
PREFIX_BYTES = 5
_MESSAGE_BYTES = 2**14 - PREFIX_BYTES
# Of what is read at once, and of the longest frame that is not DATA.
_BUFFER_BYTES = 256 * 1024
_POST_BY_HTTP = b"\x83\x86"


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    """One frame."""
    return _HEAD.pack(len(payload) << 8 | kind, flags, stream) + payload


def window_update(size: int) -> bytes:
    """So many bytes more may be sent to us on this connection."""
    return frame(WINDOW_UPDATE, payload=size.to_bytes(4, "big"))


OPENING = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    + frame(SETTINGS, payload=b"".join(_SETTING.pack(*each) for each in _WANTED.items()))
    + window_update(WINDOW - _FIRST_WINDOW)
)


class Request:
    """The frames of a call, but for the number of its stream; the call may take so many seconds.

    Raises ValueError where the message is too long for one frame.
    """

    def __init__(self, target: str, method: str, message: bytes, seconds: float) -> None:
        if len(message) > _MESSAGE_BYTES:
            raise ValueError(f"a message of {len(message):,} bytes, and {_MESSAGE_BYTES:,} fit into a frame")
        headers = {
            ":path": method, ":authority": target, "te": "trailers", "content-type": "application/grpc",
            "user-agent": "imagegate-bench", "grpc-timeout": f"{round(seconds * 1000)}m",
        }  # fmt: skip
        block = _POST_BY_HTTP + b"".join(b"\0" + _text(name) + _text(value) for name, value in headers.items())
        head = frame(HEADERS, END_HEADERS, payload=block)
        body = frame(DATA, END_STREAM, payload=b"\0" + len(message).to_bytes(4, "big") + message)
        self.seconds = seconds
        self._around_stream = head[:5], head[9:] + body[:5], body[9:]

    def frames(self, stream: int) -> bytes:
        """What is sent for the call on that stream."""
        return stream.to_bytes(4, "big").join(self._around_stream)


def _text(text: str) -> bytes:
    return bytes((len(text),)) + text.encode()


def told_by(block: bytes, name: str) -> str | None:
    """The value of this header; None where it is not there as plain text, as gRPC's servers write it for us."""
    _, found, after = block.partition(_text(name))
    if not found or after[0] >> 7:
        return None
    length, begin = (after[0], 1) if after[0] < 0x7F else read_varint(after, 1)
    return after[begin : begin + length + (0x7F if begin > 1 else 0)].decode()


class Received:
    """Cuts what is read into frames."""

    def __init__(self) -> None:
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        # How much of a frame that is not whole yet is at the buffer's beginning.
        self._held = 0
        # What is still to come of DATA, and of which stream.
        self._to_come = self._stream = 0

    def room(self) -> memoryview:
        """Where the next bytes belong."""
        return self._buffer[self._held :]

    def frames(self, count: int) -> Iterator[tuple[int, int, int, memoryview]]:
        """Kind, flags, stream and payload of all that is there with so many more bytes; DATA comes piece by piece.

        A payload is there until the next one.
        """
        at, end = 0, self._held + count
        while at < end:
            if self._to_come:
                piece = self._buffer[at : min(at + self._to_come, end)]
                self._to_come -= len(piece)
                at += len(piece)
                yield DATA, 0, self._stream, piece
                continue
            if end < (begin := at + _HEAD.size):
                break
            sized, flags, stream = _HEAD.unpack_from(self._buffer, at)
            length, kind = sized >> 8, sized & 0xFF
            if kind == DATA:
                self._to_come, self._stream, at = length, stream, begin
                continue
            if end < begin + length:
                break
            at = begin + length
            yield kind, flags, stream, self._buffer[begin:at]
        self._held = end - at
        self._buffer[: self._held] = self._buffer[at:end]
