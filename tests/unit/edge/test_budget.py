"""What all bodies together may take of memory."""

from imagegate.edge.budget import CALL_BYTES, FOR_SMALL_BODIES, LEAVING, PIECE_BYTES, Budget, Share
from imagegate.edge.endpoint import JSON_BYTES, KIB, MIB

PIECE = 256 * KIB - PIECE_BYTES


def test_what_came_is_paid_for_and_given_back() -> None:
    """S17: a body has what came of it, and nothing is left behind of it."""
    budget = Budget(40 * MIB)
    share = Share(budget)
    assert share.take(1000)
    assert share.take(0)
    assert budget.taken == CALL_BYTES + 1000 + 2 * PIECE_BYTES
    share.give_back()
    share.give_back()
    assert (budget.taken, budget.leaving) == (0, 0)


def test_there_is_always_room_for_words() -> None:
    """S17: who sends pictures never stops who sends words only."""
    budget = Budget(40 * MIB)
    pictures = Share(budget)
    while budget.taken < budget.total - FOR_SMALL_BODIES - CALL_BYTES - 256 * KIB:
        assert pictures.take(PIECE)
    assert pictures.take(budget.total - FOR_SMALL_BODIES - budget.taken - PIECE_BYTES)
    for _ in range(10):
        assert Share(budget).take(JSON_BYTES - PIECE_BYTES)
    assert not Share(budget).take(JSON_BYTES + 1)


def test_one_that_is_refused_makes_room_for_the_others() -> None:
    """S17: of many that come at once some get through: what a refused one had is theirs, if not all of it at once."""
    budget = Budget(40 * MIB)
    shares = [Share(budget) for _ in range(8)]
    through = set(shares)
    for _ in range(20 * MIB // (PIECE + PIECE_BYTES)):
        for share in list(through):
            if not share.take(PIECE):
                through.remove(share)
        assert budget.taken + budget.leaving <= budget.total - FOR_SMALL_BODIES + LEAVING + 3 * MIB
        for share in set(shares) - through:
            share.give_back()
    assert through
    for share in shares:
        share.give_back()
    assert (budget.taken, budget.leaving) == (0, 0)


def test_memory_is_not_lent_twice() -> None:
    """S17: where many are refused at once, the memory that is not free yet is counted."""
    budget = Budget(40 * MIB)
    worst = 0
    for _ in range(2000):
        share = Share(budget)
        while share.take(PIECE) and budget.taken < 30 * MIB:
            pass
        worst = max(worst, budget.taken + budget.leaving)
    assert worst <= budget.total + LEAVING
