"""Whose turn is next where there is not enough for all (S32)."""

import copy
import heapq
import random
import statistics
from collections import Counter, deque
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagegate.runtime.fair_queue import FURTHER, MAX_CALLERS, FairQueue
from imagegate.runtime.slots import MAX_WAITING

WEIGHTS = st.sampled_from([0.1, 0.5, 1.0, 2.0, 3.0, 4.0, 10.0])


def names(queue: FairQueue[str]) -> list[str]:
    """Who is served, one after the other, until nobody waits."""
    return [queue.pop().item for _ in range(len(queue))]


def test_one_caller_is_served_by_age() -> None:
    """S32: where callers are not told apart it is first come, first served."""
    queue = FairQueue[str]()
    for item in "abc":
        queue.add("", 1.0, item)
    assert (len(queue), queue.waiting(""), queue.waiting("web")) == (3, 3, 0)
    assert names(queue) == ["a", "b", "c"]
    with pytest.raises(IndexError):
        queue.pop()


@given(st.dictionaries(st.sampled_from("abcdef"), WEIGHTS, min_size=2), st.integers(200, 600))
def test_shares_are_the_weights(weights: dict[str, float], turns: int) -> None:
    """S32: while all of them wait, each caller gets turns by its weight: within a tenth, or one turn."""
    queue = FairQueue[str]()
    for name, weight in weights.items():
        for _ in range(turns + 1):
            queue.add(name, weight, name)
    served = Counter(queue.pop().item for _ in range(turns))
    for name, weight in weights.items():
        due = turns * weight / sum(weights.values())
        assert abs(served[name] - due) <= max(due / 10, 1 + len(weights))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=80), WEIGHTS)
def test_nobody_is_overtaken_by_its_own_and_somebody_is_always_served(
    events: Sequence[tuple[str, bool]], weight: float
) -> None:
    """S32: the younger of one caller is never first, and as long as anybody waits somebody has a turn."""
    queue, last = FairQueue[int](), dict[str, int]()
    waiting = 0
    for number, (caller, arrives) in enumerate(events):
        if arrives:
            queue.add(caller, weight if caller == "a" else 1.0, number)
            waiting += 1
        elif waiting:
            ticket = queue.pop()
            waiting -= 1
            assert ticket.item > last.get(ticket.caller, -1)
            last[ticket.caller] = ticket.item
        assert len(queue) == waiting


@given(WEIGHTS, st.integers(0, 500))
def test_nobody_starves(weight: float, before: int) -> None:
    """S32: however long and heavy a flood, a caller of weight 1 waits for no more turns than its weight, and one."""
    queue = FairQueue[str]()
    for _ in range(before):
        queue.add("flood", weight, "flood")
        queue.pop()
    for _ in range(1000):
        queue.add("flood", weight, "flood")
    queue.pop()
    queue.add("quiet", 1.0, "first")
    queue.add("quiet", 1.0, "second")
    order = names(queue)
    assert order.index("first") <= 1
    assert order.index("second") <= 2 + weight


@given(st.lists(st.sampled_from("abc"), max_size=30), st.lists(st.sampled_from("abcd"), min_size=1), st.randoms())
def test_who_leaves_has_left_no_trace(former: list[str], leaving: list[str], rng: random.Random) -> None:
    """S32: after whoever waited has left, or was served and left before it began, all is as if it had never come."""
    queue = FairQueue[str]()
    weights = {"a": 1.0, "b": 2.0, "c": 0.5, "d": 4.0}
    for name in former:
        queue.add(name, weights[name], name)
        if rng.random() < 0.4:
            queue.pop()
    untouched = copy.deepcopy(queue)
    tickets = [queue.add(name, weights[name], f"{name} leaves") for name in leaving]
    rng.shuffle(tickets)
    for ticket in tickets:
        queue.remove(ticket)
    ticket = queue.add("e", 1.0, "e")
    untouched.add("e", 1.0, "e")
    assert [each.item for each in queue.in_order()] == [each.item for each in untouched.in_order()]
    queue.remove(ticket)
    queue.add("e", 1.0, "e")
    assert names(queue) == names(untouched)


def test_a_turn_that_was_not_used_is_not_counted() -> None:
    """S32: who leaves in the moment of its turn has not used up a turn of its caller's."""
    queue = FairQueue[str]()
    for name in ("a", "a", "b"):
        queue.add(name, 1.0, name)
    queue.take_back(queue.pop())
    assert names(queue) == ["a", "b"]


@given(st.lists(st.tuples(st.sampled_from("abcd"), WEIGHTS), max_size=60), st.integers(0, 40))
def test_the_order_that_is_told_is_the_order_of_turns(waiting: Sequence[tuple[str, float]], served: int) -> None:
    """S32: the places that waiting callers are told come true where nobody comes or leaves."""
    queue = FairQueue[int]()
    for number, (caller, weight) in enumerate(waiting):
        queue.add(caller, weight, number)
    for _ in range(min(served, len(queue))):
        queue.pop()
    told = [ticket.item for ticket in queue.in_order()]
    assert told == [queue.pop().item for _ in range(len(queue))]


def test_rest_earns_nothing() -> None:
    """S32: who was away while another had a thousand turns gets the next one, and not a thousand; nor does the other
    have to pay for its own.
    """
    queue = FairQueue[str]()
    for _ in range(1000):
        queue.add("busy", 1.0, "busy")
        queue.pop()
    for _ in range(20):
        queue.add("busy", 1.0, "busy")
        queue.add("away", 1.0, "away")
    first = Counter(names(queue)[:20])
    assert first == {"busy": 10, "away": 10}


def test_a_turn_given_back_late_earns_nothing() -> None:
    """S32: whose turn was given back while others had many stands where they stand, and not as far back as before."""
    queue = FairQueue[str]()
    queue.add("late", 0.1, "late")
    unused = queue.pop()
    for _ in range(9):
        queue.add("busy", 1.0, "busy")
        queue.pop()
    queue.take_back(unused)
    for _ in range(9):
        queue.add("late", 1.0, "late")
        queue.add("busy", 1.0, "busy")
    first = Counter(names(queue)[:6])
    assert abs(first["late"] - first["busy"]) <= 2


def test_names_without_end_take_no_memory() -> None:
    """S32: names that a caller makes up are remembered up to a number; all further ones are one caller."""
    queue = FairQueue[int]()
    for number in range(3 * MAX_CALLERS):
        queue.add(f"made-up-{number}", 1.0, number)
    assert len(queue._lines) == MAX_CALLERS + 1
    assert sorted(queue.pop().item for _ in range(len(queue))) == list(range(3 * MAX_CALLERS))
    assert set(queue._lines) == {FURTHER}  # which has had more turns than the others, and has to wait for them


# ── What it is for ───────────────────────────────────────────────────────────────────────────────────────────────────

QUIET_REQUESTS = 1000


def p99_of_quiet(slots: int, others: float, *, most: int | None = None) -> float:
    """The quiet caller's p99, in service times, beside a flood that asks `others` times as often; both of weight 1.

    Pictures take a lognormal time of mean 1, the same for the same request in every run. The quiet caller asks at
    random for a twentieth of what there is. `most` is the flood's `max_inflight`.
    """
    per_second = slots / 20
    seconds = QUIET_REQUESTS / per_second
    quiet = arrivals("quiet", per_second, seconds, 11)
    flood = arrivals("flood", per_second * others, seconds, 12)
    queue, ends = FairQueue[tuple[float, float]](), list[tuple[float, str]]()
    held, under_way = deque[tuple[float, float]](), Counter[str]()  # held back by `max_inflight`, in the router
    took = list[float]()

    def let_in(caller: str, item: tuple[float, float], now: float) -> None:
        under_way[caller] += 1
        queue.add(caller, 1.0, item)
        serve(now)

    def serve(now: float) -> None:
        while len(ends) < slots and queue:
            ticket = queue.pop()
            came, length = ticket.item
            heapq.heappush(ends, (now + length, ticket.caller))
            if ticket.caller == "quiet":
                took.append(now + length - came)

    for came, caller, length in heapq.merge(quiet, flood):
        while ends and ends[0][0] <= came:
            now, whose = heapq.heappop(ends)
            under_way[whose] -= 1
            serve(now)
            if whose == "flood" and held:
                let_in("flood", held.popleft(), now)
        if caller == "flood" and most is not None and under_way["flood"] >= most:
            held.append((came, length))
        elif queue.waiting(caller) < MAX_WAITING:
            let_in(caller, (came, length), came)
    return statistics.quantiles(took, n=100)[98]


def arrivals(caller: str, per_second: float, seconds: float, seed: int) -> Iterator[tuple[float, str, float]]:
    """When somebody asks, at random, and how long each picture takes."""
    rng, now = random.Random(seed), 0.0  # noqa: S311 the same in every run
    while per_second and (now := now + rng.expovariate(per_second)) < seconds:
        yield now, caller, rng.lognormvariate(-0.125, 0.5)


@pytest.mark.parametrize("slots", [4, 8, 16])
def test_a_flood_from_one_caller_hardly_delays_another(slots: int) -> None:
    """S32: one caller at 100 times another's rate raises the other's p99 by at most 25 %, with four slots or more: the
    one that ends next is soon free.
    """
    assert p99_of_quiet(slots, 100) <= 1.25 * p99_of_quiet(slots, 0)


@pytest.mark.parametrize("slots", [2, 3, 8])
def test_who_may_not_take_the_last_slot_delays_nobody(slots: int) -> None:
    """S32: with fewer slots whoever is being served is waited for, unless `max_inflight` keeps one free."""
    assert p99_of_quiet(slots, 100, most=slots - 1) <= 1.25 * p99_of_quiet(slots, 0)
