"""The taxonomy and its two translators: what is told on one side is heard on the other, within bounds."""

import math
from typing import Any
from urllib.parse import quote

import pytest
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from imagegate.runtime.errors import (
    DOMAIN,
    MAX_ATTEMPT_BYTES,
    MAX_DETAILS_BYTES,
    MAX_MESSAGE_BYTES,
    Dispatch,
    Failure,
    Reason,
    Violation,
    code_of,
    from_status,
    invalid_request,
    to_status,
)
from imagegate.v1 import error_pb2

# The last column of the table in the design, and of what is said there of skips.
CODES = {
    "INVALID_ARGUMENT": "INVALID_REQUEST UPSTREAM_REJECTED_INPUT CONTENT_REJECTED UNSUPPORTED",
    "NOT_FOUND": "MODEL_NOT_FOUND",
    "RESOURCE_EXHAUSTED": "RATE_LIMITED BACKING_OFF OVER_QUOTA BUSY",
    "DEADLINE_EXCEEDED": "TIMEOUT DEADLINE_TOO_SHORT",
    "FAILED_PRECONDITION": "TOO_EXPENSIVE DISABLED NOT_ALLOWED",
    "UNAUTHENTICATED": "UNAUTHENTICATED",
    "CANCELLED": "CANCELLED",
    "INTERNAL": "INTERNAL",
    "UNAVAILABLE": "CREDENTIALS_REJECTED OUT_OF_CREDIT MODEL_ACCESS_DENIED MODEL_LOADING OVERLOADED UPSTREAM_ERROR "
    "UNREACHABLE BAD_OUTPUT CIRCUIT_OPEN WARMING NO_CANDIDATE",
}

WORDS = st.text("abcdefgh .:'é漢🐈", max_size=60)
FAILURES = st.builds(
    Failure,
    reason=st.sampled_from(Reason),
    message=WORDS.filter(bool),
    remedy=WORDS,
    retry_after=st.none() | st.floats(0, 600),
    upstream_status=st.integers(0, 599),
    upstream_message=WORDS,
    upstream_id=st.text("abc-123", max_size=40),
    phase=st.sampled_from(["", "submit", "queue", "download"]),
    dispatch=st.sampled_from(Dispatch),
    billed=st.none() | st.booleans(),
)
HOSTILE = st.builds(
    lambda unit, length: unit * length,
    st.sampled_from(["a", "%", "é", "漢", "🐈", "\n", "\x00"]),
    st.integers(0, 20_000),
)


def over_the_wire(status: status_pb2.Status) -> Failure:
    heard = from_status(status_pb2.Status.FromString(status.SerializeToString()))
    assert heard is not None
    return heard


def record(status: status_pb2.Status) -> list[error_pb2.Attempt]:
    return list(over_the_wire(status).attempts)


def attempt(number: int, **fields: Any) -> error_pb2.Attempt:
    return error_pb2.Attempt(provider=f"p{number}", model="m", reason=Reason.OVERLOADED.to_proto(), **fields)


def skipped(number: int) -> error_pb2.Attempt:
    return attempt(number, skipped=error_pb2.Skip(reason=Reason.CIRCUIT_OPEN.to_proto()), message="x" * 300)


def assert_bounded(status: status_pb2.Status) -> None:
    assert status.ByteSize() <= MAX_DETAILS_BYTES
    assert len(quote(status.message, safe=" ")) <= MAX_MESSAGE_BYTES


@pytest.mark.parametrize(("code", "reasons"), CODES.items())
def test_codes(code: str, reasons: str) -> None:
    """S3: each reason has the gRPC code that the design gives it."""
    for reason in reasons.split():
        assert code_pb2.Code.Name(code_of(Reason(reason))) == code


def test_every_reason_is_in_the_table_and_on_the_wire() -> None:
    """S3: no reason is forgotten: not in the table above, not in the enum of the wire, and back."""
    assert sorted(reason for reasons in CODES.values() for reason in reasons.split()) == sorted(Reason)
    names = {f"ERROR_REASON_{reason}" for reason in Reason} | {"ERROR_REASON_UNSPECIFIED"}
    assert set(error_pb2.ErrorReason.keys()) == names
    assert all(Reason.from_proto(reason.to_proto()) is reason for reason in Reason)
    assert all(Dispatch.from_proto(dispatch.to_proto()) is dispatch for dispatch in Dispatch)


@given(FAILURES, WORDS.filter(lambda name: len(name.encode()) <= MAX_ATTEMPT_BYTES["provider"]))
def test_round_trip(failure: Failure, provider: str) -> None:
    """R5: what a provider tells of an attempt is what the other side hears, whole."""
    failure.attempts = [failure.as_attempt(provider, "m")]
    heard = over_the_wire(to_status(failure, "id"))
    for name in ("reason", "message", "remedy", "upstream_status", "upstream_message", "upstream_id", "phase"):
        assert getattr(heard, name) == getattr(failure, name)
    assert (heard.dispatch, heard.billed, heard.code) == (failure.dispatch, failure.billed, failure.code)
    assert list(heard.attempts) == list(failure.attempts)
    assert heard.retry_after == (None if failure.retry_after is None else pytest.approx(failure.retry_after, abs=1e-8))


def test_without_a_record_the_message_has_it_all() -> None:
    """S3: a status without attempts is heard by its own words, remedy included."""
    heard = over_the_wire(to_status(Failure(Reason.DISABLED, "fal is off", remedy="set FAL_KEY"), "id"))
    assert str(heard) == "fal is off; try: set FAL_KEY"
    assert repr(heard) == "<Failure DISABLED: fal is off; try: set FAL_KEY>"


def test_violations_travel() -> None:
    """P12: every bad field arrives by name."""
    found = [Violation("width", "is 1"), Violation("steps", "is 0")]
    status = to_status(invalid_request(found), "id")
    assert over_the_wire(status).violations == found
    assert status.message == "the request is not valid: width: is 1; steps: is 0"


@settings(max_examples=60, deadline=None)
@given(HOSTILE, HOSTILE, HOSTILE, st.integers(0, 30), st.integers(0, 30), st.integers(0, 50), HOSTILE)
def test_bounded(message: str, words: str, name: str, tried: int, held: int, violations: int, request_id: str) -> None:
    """R5: whatever the lengths, alphabets and numbers, details stay within 4 KiB and the message within 2 KiB."""
    failure = Failure(Reason.UPSTREAM_ERROR, message, remedy=words, retry_after=1.5)
    failure.attempts = [
        *(attempt(n, message=message, upstream_message=words, upstream_id=name, remedy=words) for n in range(tried)),
        *(skipped(n) for n in range(held)),
    ]
    failure.violations = [Violation(name, words)] * violations
    status = to_status(failure, request_id)
    assert_bounded(status)
    heard = over_the_wire(status)
    assert heard.reason is Reason.UPSTREAM_ERROR
    assert heard.retry_after == 1.5
    assert bool(heard.attempts) == bool(tried + held), "the record never vanishes whole"


def test_what_decides_about_money_survives() -> None:
    """R5: however long the words, the last attempt's dispatch, billing, status and upstream id arrive."""
    failure = Failure(Reason.BAD_OUTPUT, "漢" * 9000, upstream_message="é" * 9000, remedy="r" * 9000)
    failure.upstream_status, failure.upstream_id, failure.phase = 200, "job-1", "download"
    failure.dispatch, failure.billed = Dispatch.ACCEPTED, True
    failure.violations = [Violation("prompt", "p" * 9000)] * 9
    failure.attempts = [failure.as_attempt("p" * 900, "m" * 900)]
    status = to_status(failure, "id")
    assert_bounded(status)
    heard = over_the_wire(status)
    told = (heard.dispatch, heard.billed, heard.upstream_status, heard.upstream_id, heard.phase)
    assert told == (Dispatch.ACCEPTED, True, 200, "job-1", "download")
    assert heard.message


def test_upstream_messages_are_cut_first() -> None:
    """R5: each upstream message keeps at most 512 bytes, and they give way before any attempt does."""
    long = Failure(Reason.OVERLOADED, "m", attempts=[attempt(0, upstream_message="é" * 600)])
    [kept] = record(to_status(long, "id"))
    assert len(kept.upstream_message.encode()) <= 512
    assert kept.upstream_message.endswith("…")
    many = Failure(Reason.OVERLOADED, "m", attempts=[attempt(n, upstream_message="x" * 900) for n in range(20)])
    assert [a.provider for a in record(to_status(many, "id"))] == [f"p{n}" for n in range(20)]


def test_then_skipped_candidates_then_the_oldest() -> None:
    """R5: of attempts that do not fit, those that were never made go first, then the oldest."""
    made = [attempt(n, message="y" * 500) for n in range(4)]
    some = record(to_status(Failure(Reason.OVERLOADED, "m", attempts=[skipped(8), *made, skipped(9)] * 1), "id"))
    assert [a.provider for a in some if not a.HasField("skipped")] == ["p0", "p1", "p2", "p3"]
    many = [attempt(n, message="y" * 500) for n in range(20)]
    left = [a.provider for a in record(to_status(Failure(Reason.OVERLOADED, "m", attempts=[*many, skipped(99)]), "id"))]
    assert left == [f"p{n}" for n in range(20 - len(left), 20)]
    assert left


def test_skipped_ones_say_nothing_of_the_failure() -> None:
    """R5: what happened upstream is read off the last attempt that was made, not off one that was skipped."""
    made = attempt(0, dispatch=error_pb2.DISPATCH_UNKNOWN, upstream_id="job", message="broke off")
    heard = over_the_wire(to_status(Failure(Reason.UPSTREAM_ERROR, "m", attempts=[made, skipped(1)]), "id"))
    assert (heard.dispatch, heard.upstream_id, heard.message) == (Dispatch.UNKNOWN, "job", "broke off")


@pytest.mark.parametrize(
    ("told", "heard"), [(math.inf, 86_400), (1e300, 86_400), (math.nan, 0), (-5, 0), (0, 0), (0.1, 0.1)]
)
def test_odd_retry_after(told: float, heard: float) -> None:
    """R9: a time to come back is always one that a client can wait."""
    assert over_the_wire(to_status(Failure(Reason.RATE_LIMITED, "m", retry_after=told), "id")).retry_after == heard


def test_surrogates() -> None:
    """R5: half a surrogate pair, which JSON can hold and UTF-8 cannot, does not keep an error from arriving."""
    failure = Failure(Reason.OVERLOADED, "a\ud800b", remedy="\udfff", violations=[Violation("\ud800", "\ud800")])
    assert over_the_wire(to_status(failure, "id")).message == "a?b; try: ?"


def status_of(reason: str, domain: str = DOMAIN, **fields: Any) -> status_pb2.Status:
    status = status_pb2.Status(code=code_pb2.UNAVAILABLE, message="m")
    status.details.add().Pack(error_details_pb2.ErrorInfo(domain=domain, reason=reason))
    if fields:
        status.details.add().Pack(error_pb2.GenerationFailure(attempts=[error_pb2.Attempt(**fields)]))
    return status


GARBAGE = any_pb2.Any(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=b"\xff\xff\xff")


@pytest.mark.parametrize(
    "status",
    [
        status_pb2.Status(),
        status_pb2.Status(code=code_pb2.UNAVAILABLE, message="connection refused"),
        status_of("OVERLOADED", domain="googleapis.com"),
        status_of("NO_SUCH_REASON"),
        status_of(""),
        status_pb2.Status(code=code_pb2.UNAVAILABLE, details=[GARBAGE]),
        status_pb2.Status(code=code_pb2.UNAVAILABLE, details=[any_pb2.Any(type_url="x/y.Z", value=b"1")]),
    ],
)
def test_not_ours(status: status_pb2.Status) -> None:
    """S3: a status that is not ours, or that cannot be read, is nobody's word: None, never an exception."""
    assert from_status(status) is None


def test_unknown_numbers() -> None:
    """S3: values that a newer version added are heard as what tells least, and break nothing."""
    heard = from_status(status_of("OVERLOADED", dispatch=99))
    assert heard is not None
    assert (heard.reason, heard.dispatch) == (Reason.OVERLOADED, Dispatch.UNKNOWN)
    assert Reason.from_proto(999) is Reason.INTERNAL  # type: ignore[arg-type]
    assert Dispatch.from_proto(99) is Dispatch.UNKNOWN  # type: ignore[arg-type]
