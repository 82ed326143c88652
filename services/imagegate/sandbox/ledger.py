"""What was asked and what was made, in bounded memory. Pure: it neither waits nor draws."""

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

State = Literal["finished", "failed", "cancelled"]

MAX_ENTRIES = 10_000  # of each kind; the oldest go first
MAX_TEXT = 40_000  # characters of one string of a body: every legal prompt, no picture in base64
SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key", "x-fal-cdn-token"})


@dataclass
class AskedRequest:
    """One HTTP request as it arrived. `headers` have lower-case names and no key; `body` is the JSON body or None.

    `status` is None while it is not answered, and stays so when it never is; `fault` names the fault that was played.
    """

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: object
    upstream: str
    model: str
    fault: str | None = None
    status: int | None = None


@dataclass(frozen=True)
class Generation:
    """One picture request that reached a model. `billed` is what a paying caller would be charged for.

    `instructions` are what an upstream took for orders in the words of a prompt, and carried out.
    """

    upstream: str
    model: str
    id: str
    prompt: str
    seed: int
    state: State
    billed: bool
    instructions: tuple[str, ...] = ()


class Ledger:
    """Two lists, oldest first."""

    def __init__(self) -> None:
        self._requests: deque[AskedRequest] = deque(maxlen=MAX_ENTRIES)
        self._generations: deque[Generation] = deque(maxlen=MAX_ENTRIES)

    def record(self, request: AskedRequest) -> None:
        self._requests.append(request)

    def forget_requests(self) -> None:
        self._requests.clear()

    def settle(self, generation: Generation) -> None:
        self._generations.append(generation)

    def requests(self) -> list[dict[str, object]]:
        return [asdict(request) for request in self._requests]

    def billing(self) -> list[dict[str, object]]:
        return [asdict(generation) for generation in self._generations]


def without_keys(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers that may be shown: of a key only its presence and its scheme are left."""
    return {name.lower(): _mask(value) if name.lower() in SECRET_HEADERS else value for name, value in headers.items()}


def _mask(value: str) -> str:
    scheme, space, _ = value.partition(" ")
    return f"{scheme} ***" if space else "***"


def clipped(body: object) -> object:
    """A JSON value whose long strings are cut, so that 10,000 requests with pictures in them fit in memory."""
    if isinstance(body, str) and len(body) > MAX_TEXT:
        return f"{body[:100]}… [{len(body)} characters]"
    if isinstance(body, list):
        return [clipped(item) for item in body]
    if isinstance(body, dict):
        return {key: clipped(value) for key, value in body.items()}
    return body
