"""A deadline is a point in time that is carried through a call."""

from dataclasses import dataclass

import pytest

from imagegate.runtime.deadline import DEFAULT_TIMEOUT, Deadline
from imagegate.testing import FakeClock


@dataclass
class Caller:
    """A call whose caller waits this long."""

    seconds: float | None

    def time_remaining(self) -> float | None:
        return self.seconds


def test_time_runs_out() -> None:
    """What remains falls with the clock, and never below 0."""
    clock = FakeClock()
    deadline = Deadline.after(5, clock())
    assert deadline.remaining(clock()) == 5
    assert deadline.remaining(clock.advance(3)) == 2
    assert deadline.remaining(clock.advance(3)) == 0


def test_earlier() -> None:
    """What is kept back for finishing comes off the end; the earlier of two deadlines is the smaller one."""
    deadline = Deadline.after(5, 100)
    assert deadline.earlier(2).remaining(100) == 3
    assert deadline.earlier(9).remaining(100) == 0
    assert min(deadline, deadline.earlier(2)) == deadline.earlier(2)


@pytest.mark.parametrize(
    ("waits", "gets"), [(7.0, 7.0), (None, DEFAULT_TIMEOUT), (0.0, 0.0), (-3.0, 0.0), (1e12, 12 * DEFAULT_TIMEOUT)]
)
def test_from_context(waits: float | None, gets: float) -> None:
    """The caller's deadline counts; without one there are 300 s, and no call is kept for ever."""
    assert Deadline.from_context(Caller(waits)).remaining() == pytest.approx(gets, abs=0.5)


def test_from_context_with_another_default() -> None:
    """A process with less patience says so."""
    assert Deadline.from_context(Caller(None), 2.0).remaining() == pytest.approx(2, abs=0.5)
