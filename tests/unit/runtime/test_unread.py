"""Whose answer is handed over next, and who gives way."""

from hypothesis import given
from hypothesis import strategies as st

from imagegate.runtime.unread import STALLED_SECONDS, Holding, Unread
from imagegate.testing import FakeClock

STEPS = st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["answer", "read", "end", "later"])), max_size=60)


class Answer:
    """One call's answer of `size` bytes, and what becomes of it."""

    def __init__(self, unread: Unread, connection: str, size: int) -> None:
        self.size = size
        self.has_gone = self.is_lost = False
        self.holding = Holding(connection, go=self._go, lost=self._lose)
        unread.keep(self.holding, size)
        if not self.is_lost:
            self.has_gone = unread.in_turn(self.holding, size)

    def _go(self) -> None:
        self.has_gone = True

    def _lose(self) -> None:
        self.is_lost = True


def test_while_there_is_room_everything_goes() -> None:
    """S17: half of the room is for whatever comes first, of one connection or many."""
    unread = Unread(100, FakeClock())
    assert all(Answer(unread, "a", 10).has_gone for _ in range(5))
    assert not Answer(unread, "a", 10).has_gone


def test_a_connection_that_reads_has_its_turn_whatever_others_leave() -> None:
    """S17: where nothing is left unread an answer goes at once, although others have taken all the room."""
    unread = Unread(100, FakeClock())
    others = [Answer(unread, "a", 10) for _ in range(10)]
    assert sum(each.has_gone for each in others) == 5
    assert Answer(unread, "b", 90).has_gone


def test_whoever_reads_gets_the_next() -> None:
    """S17: in the order in which they came, as those before them are read."""
    unread = Unread(100, FakeClock())
    first, second, third = [Answer(unread, "a", 30) for _ in range(3)]
    assert (first.has_gone, second.has_gone) == (True, False)
    unread.taken(first.holding, 30)
    assert (second.has_gone, third.has_gone) == (True, False)
    unread.end(second.holding)
    assert third.has_gone


def test_the_youngest_of_the_worst_gives_way() -> None:
    """S17: where there is no more room it is who leaves most unread that loses, not who comes then."""
    unread = Unread(100, FakeClock())
    worst = [Answer(unread, "a", 10) for _ in range(8)]
    better = [Answer(unread, "b", 10) for _ in range(3)]
    assert [each.is_lost for each in worst] == [False] * 7 + [True]
    assert not any(each.is_lost for each in better)


def test_who_does_not_read_at_all_gives_way_first() -> None:
    """S17: a connection with many answers that are being read is better than one with few that are not."""
    clock = FakeClock()
    unread = Unread(100, clock)
    idle = [Answer(unread, "idle", 30) for _ in range(2)]
    clock.advance(STALLED_SECONDS + 1)
    reading = [Answer(unread, "reading", 20) for _ in range(3)]
    assert idle[1].is_lost
    assert not any(each.is_lost for each in reading)
    assert unread.is_stalled("idle") is False  # nothing waits there any more


@given(STEPS)
def test_nothing_is_forgotten_and_nothing_counted_twice(steps: list[tuple[int, str]]) -> None:
    """S17: what is counted is what is there; handed over is at most half of the room, and one of each connection."""
    clock = FakeClock()
    unread = Unread(100, clock)
    answers: list[Answer] = []
    for number, what in steps:
        connection = f"c{number % 3}"
        mine = [each for each in answers if each.holding.connection == connection]
        if what == "answer":
            answers.append(Answer(unread, connection, 7 + number))
        elif what == "later":
            clock.advance(2.0)
        elif what == "read" and (gone := [each for each in mine if each.holding.handed]):
            unread.taken(gone[0].holding, gone[0].holding.handed)
        elif what == "end" and mine:
            unread.end(mine[0].holding)
            answers.remove(mine[0])
        assert unread.handed == sum(each.holding.handed for each in answers)
        assert unread.waiting == sum(each.holding.waiting for each in answers)
        assert unread.handed <= 50 + 3 * (7 + 60)
        assert all(each.holding.waiting == 0 for each in answers if each.is_lost)
    for each in answers:
        unread.end(each.holding)
    assert (unread.handed, unread.waiting, repr(unread)) == (0, 0, "<Unread 0 bytes waiting, 0 handed over, 0 in line>")
