"""One event of a `GenerateStream` as the bytes that travel. Pure.

A router never parses a provider's answer, which on a stream comes wrapped in an event. So events are told and sent
serialised; which of them holds an answer, and where, is read off its first bytes.
"""

from imagegate.runtime.serialised import LENGTH_FOLLOWS, read_varint, varint
from imagegate.v1 import generation_pb2

HEARTBEAT = generation_pb2.GenerateEvent(heartbeat=generation_pb2.Heartbeat()).SerializeToString()

# A field's first byte on the wire: its number, and that a length follows.
_PROGRESS = generation_pb2.GenerateEvent.PROGRESS_FIELD_NUMBER << 3 | LENGTH_FOLLOWS
_COMPLETED = generation_pb2.GenerateEvent.COMPLETED_FIELD_NUMBER << 3 | LENGTH_FOLLOWS


def completed(*response: bytes) -> bytes:
    """The last event of a stream: the answer, given as one serialised GenerateResponse or as parts of one."""
    return b"".join((bytes((_COMPLETED,)), varint(sum(map(len, response))), *response))


def response_of(event: bytes) -> bytes | None:
    """The serialised answer that an event holds, not parsed; None where it is another event.

    Raises DecodeError where it is no event at all.
    """
    if event[:1] == bytes((_COMPLETED,)):
        length, start = read_varint(event, 1)
        if start + length == len(event):
            return event[start:]
    # Somebody else's serialisation may differ from ours, in fields that this version does not know.
    parsed = generation_pb2.GenerateEvent.FromString(event)
    return parsed.completed.SerializeToString() if parsed.HasField("completed") else None


def is_progress(event: bytes) -> bool:
    """Whether an event that was serialised here tells progress."""
    return event[:1] == bytes((_PROGRESS,))
