"""The part of a file that a Range header asks for (RFC 9110, 14). Pure."""

import re
from dataclasses import dataclass

_ONE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes from `start` to before `stop`, of a file of `size`. An empty one lies behind the end."""

    start: int
    stop: int
    size: int

    def __bool__(self) -> bool:
        return self.start < self.stop

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def told(self) -> str:
        """As Content-Range has it."""
        return f"bytes {self.start}-{self.stop - 1}/{self.size}" if self else f"bytes */{self.size}"


def asked(header: str, size: int) -> ByteRange | None:
    """What `header` asks for of a file of `size` bytes; None where that is all of it: no header, several ranges, or
    none that makes sense.
    """
    found = _ONE.fullmatch(header.strip())
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        return ByteRange(max(size - int(found[2]), 0), size, size) if int(found[2]) else ByteRange(size, size, size)
    start = int(found[1])
    last = int(found[2]) if found[2] else max(start, size)
    if last < start:
        return None
    return ByteRange(min(start, size), min(last + 1, size), size)
