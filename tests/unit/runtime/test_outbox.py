"""What waits on one stream, and when its reader is late."""

from hypothesis import given
from hypothesis import strategies as st

from imagegate.runtime.outbox import Bounds, Outbox

BOUNDS = Bounds(unread_bytes=10, unread_seconds=30.0)
# What may happen next: an event of so many bytes (or progress of as many), a write begun, a write done.
STEPS = st.lists(st.sampled_from(["event", "progress", "take", "written"]))


def test_events_leave_in_the_order_in_which_they_came() -> None:
    """R9: the oldest first, each once."""
    outbox = Outbox(BOUNDS)
    for event in (b"a", b"b", b"c"):
        outbox.put(event, 0)
    assert [outbox.take() for _ in range(4)] == [b"a", b"b", b"c", None]


def test_only_the_newest_progress_waits() -> None:
    """R9: progress takes the place of unsent progress, behind what came in between; all else stays."""
    outbox = Outbox(BOUNDS)
    outbox.put(b"old", 0, is_progress=True)
    outbox.put(b"finished", 0)
    outbox.put(b"new", 0, is_progress=True)
    assert [outbox.take(), outbox.take(), outbox.take()] == [b"finished", b"new", None]


def test_progress_under_way_is_not_taken_back() -> None:
    """R9: what gRPC has taken is sent, whatever comes after it."""
    outbox = Outbox(BOUNDS)
    outbox.put(b"old", 0, is_progress=True)
    assert outbox.take() == b"old"
    outbox.put(b"new", 0, is_progress=True)
    assert outbox.unread == 6
    assert outbox.take() == b"new"


def test_a_reader_is_late_when_too_much_was_unread_for_too_long() -> None:
    """R9: the time runs from the first byte too many, whoever is under way, until enough was read."""
    outbox = Outbox(BOUNDS)
    outbox.put(b"1234567890", 100)
    assert outbox.late_at is None
    outbox.put(b"1", 101)
    assert outbox.late_at == 131
    outbox.take()
    outbox.put(b"2", 110)
    assert (outbox.late_at, outbox.unread) == (131, 12)
    outbox.written(120)
    assert (outbox.late_at, outbox.unread) == (None, 2)
    outbox.put(b"1234567890", 125)
    assert outbox.late_at == 155
    assert repr(outbox) == "<Outbox 3 events waiting, 12 bytes unread>"


@given(STEPS)
def test_the_outbox_never_forgets_an_event_nor_keeps_two_pieces_of_progress(steps: list[str]) -> None:
    """R9: whatever happens in whatever order, every event is taken once, and at most one piece of progress waits."""
    outbox, put, taken = Outbox(BOUNDS), list[bytes](), list[bytes]()
    is_writing = False
    for now, step in enumerate(steps):
        if step in ("event", "progress"):
            event = f"{step}{now}".encode()
            outbox.put(event, now, is_progress=step == "progress")
            put.append(event)
        elif step == "take" and not is_writing and (next_event := outbox.take()) is not None:
            taken.append(next_event)
            is_writing = True
        elif step == "written":
            outbox.written(now)
            is_writing = False
        assert (outbox.late_at is not None) == (outbox.unread > BOUNDS.unread_bytes)
    before = len(taken)
    while (last := outbox.take()) is not None:
        taken.append(last)
    assert sum(event.startswith(b"progress") for event in taken[before:]) <= 1
    assert [event for event in taken if event.startswith(b"event")] == [e for e in put if e.startswith(b"event")]
    assert len(set(taken)) == len(taken)
