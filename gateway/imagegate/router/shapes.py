"""What is found out once for all requests that differ in their words only. Pure.

Most callers ask for the same again and again: the same model, size and routing, with another prompt. What those mean,
whether they are valid and which candidates they may use does not depend on what the prompt says.
"""

from collections.abc import Callable
from typing import Generic, NamedTuple, Self, TypeVar

from imagegate.runtime.validation import WORDS
from imagegate.v1 import generation_pb2

Found = TypeVar("Found")

# What is larger brings pictures along, or is seldom asked for twice.
MAX_BYTES = 2048
MAX_SHAPES = 512
# In place of every prompt: a task that takes none tells so of whoever has one.
ANY_PROMPT = "…"


def shape_of(request: generation_pb2.GenerateRequest) -> bytes | None:
    """The request without its words, but for whether it has a prompt; None where it is too large to be remembered."""
    if request.ByteSize() - len(request.prompt) > MAX_BYTES:
        return None
    shape = generation_pb2.GenerateRequest()
    shape.CopyFrom(request)
    for name in WORDS:
        shape.ClearField(name)  # type: ignore[arg-type]
    if request.prompt:
        shape.prompt = ANY_PROMPT
    return shape.SerializeToString(deterministic=True)


class Shaped(NamedTuple):
    """A request, and its shape (None: too large to be remembered)."""

    request: generation_pb2.GenerateRequest
    shape: bytes | None

    @classmethod
    def of(cls, request: generation_pb2.GenerateRequest) -> Self:
        """The request with its shape."""
        return cls(request, shape_of(request))


class Shapes(Generic[Found]):
    """What was found out by shape, the last `MAX_SHAPES`."""

    def __init__(self) -> None:
        self._found: dict[bytes, Found] = {}
        self._standing: object = None

    def __repr__(self) -> str:
        return f"<Shapes {len(self._found)}>"

    def known(self, shape: bytes | None, standing: object, find: Callable[[], Found]) -> Found:
        """What `find` finds for a `shape`, asked once as long as `standing`, all else that it looks at, is equal."""
        if shape is None:
            return find()
        if self._standing != standing:
            self._found.clear()
            self._standing = standing
        if shape not in self._found:
            found = find()
            if len(self._found) >= MAX_SHAPES:
                del self._found[next(iter(self._found))]
            self._found[shape] = found
        return self._found[shape]
