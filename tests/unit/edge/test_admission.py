"""How often users and addresses may ask."""

from pathlib import Path

import pytest

from imagegate.edge.admission import MAX_NAMES, WRONG_KEYS_PER_MINUTE, Admission, Rates, network_of
from imagegate.edge.caller import Caller
from imagegate.edge.endpoint import Endpoint, tell_problem
from imagegate.edge.problem import Problem
from imagegate.edge.settings import EdgeSettings
from imagegate.testing import FakeClock

ALICE, BOB = Caller("alice"), Caller("bob")


async def nothing(_call: object) -> object:
    raise AssertionError("not called")


ASKING = Endpoint("GET", "/ask", nothing, "", tell_problem)  # type: ignore[arg-type]
MAKING = Endpoint("POST", "/make", nothing, "", tell_problem, generates=True)  # type: ignore[arg-type]


def admission(clock: FakeClock, **settings: float) -> Admission:
    return Admission(EdgeSettings(data=Path(), **settings), clock)  # type: ignore[arg-type]


def seconds_of(problem: Problem) -> int:
    assert (problem.status, problem.reason) == (429, "RATE_LIMITED")
    assert problem.retry_after is not None
    return problem.retry_after


def ask(asked: Admission, caller: Caller, endpoint: Endpoint) -> int:
    """0 where it is let in, the seconds of its Retry-After otherwise."""
    try:
        with asked.admitted(caller, endpoint):
            return 0
    except Problem as problem:
        return seconds_of(problem)


def test_a_user_has_a_rate_of_requests() -> None:
    """P12: a third of a minute's requests may come at once; then each waits for its turn, and is told how long."""
    clock = FakeClock()
    asked = admission(clock, requests_per_minute=30)
    assert [ask(asked, ALICE, ASKING) for _ in range(12)] == [0] * 10 + [2, 2]
    clock.advance(2)
    assert [ask(asked, ALICE, ASKING) for _ in range(2)] == [0, 2]
    clock.advance(3600)
    assert [ask(asked, ALICE, ASKING) for _ in range(11)] == [0] * 10 + [2]


def test_users_do_not_wait_for_one_another() -> None:
    """P12: what one user has used up is nobody else's."""
    asked = admission(FakeClock(), requests_per_minute=3)
    assert [ask(asked, ALICE, ASKING) for _ in range(2)] == [0, 20]
    assert ask(asked, BOB, ASKING) == 0


def test_pictures_have_a_rate_of_their_own() -> None:
    """P12: who may make no more pictures may still look at those that are there."""
    asked = admission(FakeClock(), generations_per_minute=6)
    assert [ask(asked, ALICE, MAKING) for _ in range(3)] == [0, 0, 10]
    assert ask(asked, ALICE, ASKING) == 0


def test_several_pictures_weigh_as_many() -> None:
    """P12: a generation of four pictures counts as four: the next ones come later for it."""
    clock = FakeClock()
    asked = admission(clock, generations_per_minute=6)
    with asked.admitted(ALICE, MAKING):
        asked.weigh("alice", 4)
    assert ask(asked, ALICE, MAKING) == 30
    clock.advance(30)
    assert ask(asked, ALICE, MAKING) == 0


@pytest.mark.parametrize("count", [-1, 0, 1])
def test_a_count_that_is_none_weighs_nothing(count: int) -> None:
    """One picture was counted already, and a nonsensical number is refused by whoever reads it."""
    asked = admission(FakeClock(), generations_per_minute=6)
    asked.weigh("alice", count)
    assert [ask(asked, ALICE, MAKING) for _ in range(3)] == [0, 0, 10]


def test_an_absurd_count_does_not_lock_its_user_out() -> None:
    """S29: 10⁹ pictures weigh as the most that could be made: the request is refused, its user is not."""
    clock = FakeClock()
    asked = admission(clock, generations_per_minute=60)
    asked.weigh("alice", 10**9)
    clock.advance(10)
    assert ask(asked, ALICE, MAKING) == 0


def test_so_many_at_a_time() -> None:
    """P12: no more generations than this at a time; one that ends makes room, however it ends."""
    asked = admission(FakeClock(), generations_at_a_time=2, generations_per_minute=1000)
    with asked.admitted(ALICE, MAKING):
        with asked.admitted(ALICE, MAKING):
            assert ask(asked, ALICE, MAKING) == 1
            assert ask(asked, BOB, MAKING) == 0
        with pytest.raises(KeyError), asked.admitted(ALICE, MAKING):
            raise KeyError
        assert ask(asked, ALICE, MAKING) == 0


def wrong(asked: Admission, address: str) -> int:
    try:
        asked.wrong_key(address)
    except Problem as problem:
        return seconds_of(problem)
    return 0


def test_wrong_keys_have_a_rate_per_address() -> None:
    """S21: after twenty wrong keys in a minute an address is told to wait, and only that address."""
    clock = FakeClock()
    asked = admission(clock)
    assert [wrong(asked, "203.0.113.7") for _ in range(WRONG_KEYS_PER_MINUTE)] == [0] * WRONG_KEYS_PER_MINUTE
    assert wrong(asked, "203.0.113.7") == 3
    assert wrong(asked, "203.0.113.8") == 0
    clock.advance(3)
    assert wrong(asked, "203.0.113.7") == 0


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:0db8:0001:0002"),
        ("2001:db8:1:2::1", "2001:0db8:0001:0002"),
        ("fe80::1%eth0", "fe80:0000:0000:0000"),
        ("", ""),
        ("unix", "unix"),
    ],
)
def test_an_address_is_what_one_customer_has(address: str, network: str) -> None:
    """S21: of IPv6 a /64 counts as one address: who has one has 2⁶⁴ of them."""
    assert network_of(address) == network


def test_what_is_remembered_is_bounded() -> None:
    """S21: of more than 10,000 names those that were not heard of for longest are forgotten."""
    rates = Rates(60, 1, FakeClock())
    for number in range(MAX_NAMES + 50):
        rates.take(str(number))
        if number:
            rates.owe("0", 1)
    assert len(rates) == MAX_NAMES
    rates.take("1")  # forgotten: it has its burst again
    with pytest.raises(Exception, match="used up"):
        rates.take("0")
