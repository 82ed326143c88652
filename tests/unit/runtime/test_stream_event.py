"""Events as bytes: an answer goes in and comes out without being parsed."""

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from imagegate.runtime.stream_event import HEARTBEAT, completed, is_progress, response_of
from imagegate.v1 import generation_pb2

Event, Response = generation_pb2.GenerateEvent, generation_pb2.GenerateResponse


@pytest.mark.parametrize("size", [0, 1, 100, 127, 128, 16_383, 16_384, 2_097_152])
def test_an_answer_is_wrapped_as_protobuf_would(size: int) -> None:
    """S3: the last event is what a client of any language expects, whatever the answer's length."""
    response = Response(images=[generation_pb2.Image(data=b"x" * size)]) if size else Response()
    raw = response.SerializeToString()
    assert completed(raw) == Event(completed=response).SerializeToString()
    assert response_of(completed(raw)) == raw


def test_an_answer_in_parts_is_one() -> None:
    """S3: serialised messages concatenate to their merge, in an event too."""
    parts = Response(provider="p").SerializeToString(), Response(request_id="r").SerializeToString()
    event = Event.FromString(completed(*parts))
    assert event.completed == Response(provider="p", request_id="r")


def test_other_events_hold_no_answer() -> None:
    """S3: only `completed` holds an answer, and only progress is progress."""
    progress = Event(progress=generation_pb2.Progress(step=1)).SerializeToString()
    assert [is_progress(event) for event in (progress, HEARTBEAT, completed(b""), b"")] == [True, False, False, False]
    assert [response_of(event) for event in (progress, HEARTBEAT, b"")] == [None, None, None]


def test_another_serialisation_is_understood() -> None:
    """S3: an event with fields of a later version, before or behind the answer, holds it all the same."""
    later, raw = b"\xfa\x01\x01x", Response(provider="p").SerializeToString()
    for event in (later + completed(raw), completed(raw) + later, completed(b"") + completed(raw)):
        assert response_of(event) == raw


@given(st.binary(max_size=40))
def test_no_bytes_break_it(data: bytes) -> None:
    """S3: what is no event is refused as such, and nothing else is raised."""
    for event in (data, b"\x22" + data):
        try:
            response_of(event)
        except DecodeError:
            continue
