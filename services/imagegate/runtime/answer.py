"""An upstream's HTTP answer, as a value. Pure: wire modules read it and know nothing of HTTP clients."""

import json
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any

import pybase64
from pydantic_core import from_json

from imagegate.runtime.errors import Failure, Reason

SANDBOX_HEADER = "x-imagegate-sandbox"
MAX_TEXT_BYTES = 64 * 1024
MAX_RETRY_AFTER_SECONDS = 600.0
# What parsing costs goes by the number of values, not of bytes: 12 MiB of `[],[],` take 5 s and
# 360 MiB, as many of one picture in base64 next to nothing.
MAX_JSON_VALUES = 100_000
VALUE_SIGNS = (b",", b"[", b"{")

# What a status of a hosted upstream means where its body says nothing more exact; any other is UPSTREAM_ERROR.
REASONS_BY_STATUS: Mapping[int, Reason] = {
    400: Reason.UPSTREAM_REJECTED_INPUT,
    401: Reason.CREDENTIALS_REJECTED,
    402: Reason.OUT_OF_CREDIT,
    403: Reason.CREDENTIALS_REJECTED,
    404: Reason.MODEL_NOT_FOUND,
    410: Reason.MODEL_NOT_FOUND,
    413: Reason.UPSTREAM_REJECTED_INPUT,
    422: Reason.UPSTREAM_REJECTED_INPUT,
    429: Reason.RATE_LIMITED,
    451: Reason.CONTENT_REJECTED,
    503: Reason.OVERLOADED,
    529: Reason.OVERLOADED,
}


@dataclass(frozen=True)
class Answer:
    """An upstream's answer, read whole. Header names are case-insensitive."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def content_type(self) -> str:
        """The media type without its parameters, in lower case."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    @property
    def sandbox(self) -> bool:
        """Whether a stand-in answered; it says so itself."""
        return self.headers.get(SANDBOX_HEADER, "") == "true"

    @property
    def text(self) -> str:
        """The body as text, at most 64 KiB of it; not scrubbed."""
        return self.body[:MAX_TEXT_BYTES].decode("utf-8", errors="replace")

    def json(self) -> Any:
        """The body as JSON, the same value each time.

        Raises Failure(BAD_OUTPUT) where it is something else, or intricate beyond reason.
        """
        return self._json

    @cached_property
    def _json(self) -> Any:
        try:
            if not _is_intricate(self.body):
                return _value(self.body)
            what = "JSON of more values than anybody needs"
        except (ValueError, RecursionError):
            what = f"{self.content_type or 'no content type'} instead of JSON"
        raise Failure(
            Reason.BAD_OUTPUT,
            f"the upstream answered {self.status} with {what}",
            upstream_status=self.status,
            upstream_message=self.text[:512],
        )

    def retry_after(self, now: datetime | None = None) -> float | None:
        """Seconds that `Retry-After` asks for (a number or a date), at most 10 minutes."""
        value = self.headers.get("Retry-After", "").strip()
        try:
            seconds = float(value)
        except ValueError:
            seconds = _seconds_until(value, now or datetime.now(UTC))
        return min(seconds, MAX_RETRY_AFTER_SECONDS) if seconds >= 0 else None


def from_base64(text: str) -> bytes:
    """The bytes that a text of an answer holds in base64, with its padding and nothing else. Raises ValueError.

    In a fiftieth of the standard library's time, which has the last word on what is merely odd: padding in excess.
    """
    try:
        return pybase64.b64decode(text, validate=True)
    except ValueError:
        return b64decode(text, validate=True)


def _value(body: bytes) -> Any:
    """The body as JSON. Raises ValueError or RecursionError.

    Pydantic's parser takes an eighth of the time over a picture in base64. It is stricter, so the standard library has
    the last word: on half a surrogate, on other encodings, on deep nesting.
    """
    try:
        return from_json(body)
    except ValueError:
        return json.loads(body)


def _is_intricate(body: bytes) -> bool:
    """Whether it has more of VALUE_SIGNS than MAX_JSON_VALUES. Looking for the next one passes over a picture in base64
    twenty times as fast as counting does.
    """
    found = 0
    for sign in VALUE_SIGNS:
        at = body.find(sign)
        while at >= 0:
            found += 1
            if found > MAX_JSON_VALUES:
                return True
            at = body.find(sign, at + 1)
    return False


def _seconds_until(value: str, now: datetime) -> float:
    """Seconds until an HTTP date; -1 where it is none."""
    try:
        return max((parsedate_to_datetime(value) - now).total_seconds(), 0.0)
    except (TypeError, ValueError, OverflowError):
        return -1.0
