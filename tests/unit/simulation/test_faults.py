"""How the simulated upstreams behave."""

import math

from imagegate.runtime.errors import Reason
from simulation.faults import Cold, Dead, Failing, Hang, RateLimit, Refuses, SlowTail
from simulation.traffic import Request

REQUEST = Request(0, 0.0, (10.0, 10.0), lot=0.5)
SICK = ((100.0, 200.0),)


def test_a_hang_takes_the_calls_under_way_with_it() -> None:
    """A call that a hang meets is never answered, also if it was sent before; one after the end is."""
    hang = Hang(SICK)
    assert [hang.reply(REQUEST, 10.0, now).seconds for now in (80.0, 95.0, 150.0, 200.0)] == [
        10,
        math.inf,
        math.inf,
        10,
    ]


def test_a_dead_upstream_refuses_and_resets() -> None:
    """New connections are refused at once; a call under way ends when the upstream dies."""
    dead = Dead(SICK)
    under_way, new = dead.reply(REQUEST, 10.0, 95.0), dead.reply(REQUEST, 10.0, 150.0)
    assert under_way.failure is not None
    assert (under_way.failure.reason, under_way.seconds) == (Reason.UPSTREAM_ERROR, 5.0)
    assert new.failure is not None
    assert new.failure.reason is Reason.UNREACHABLE


def test_one_that_flaps_delivers_in_between() -> None:
    """Between two bad periods a call is delivered, unless the next one hits it."""
    flapping = Failing(((100.0, 120.0), (160.0, 180.0)))
    outcomes = [flapping.reply(REQUEST, 10.0, now).failure is None for now in (90.0, 110.0, 130.0, 155.0, 180.0)]
    assert outcomes == [True, False, True, False, True]


def test_a_rate_limit_has_real_room() -> None:
    """So many submissions a clock minute are taken; the rest hears when the minute ends, or nothing."""
    limit = RateLimit(SICK, 2, says_when=True)
    replies = [limit.reply(REQUEST, 10.0, now).failure for now in (121.0, 122.0, 123.5, 180.0)]
    assert [failure is None for failure in replies] == [True, True, False, True]
    assert replies[2] is not None
    assert replies[2].retry_after == 57.0
    silent = RateLimit(SICK, 0, says_when=False).reply(REQUEST, 10.0, 121.0).failure
    assert silent is not None
    assert silent.retry_after is None


def test_a_cold_model_loads_from_the_first_request_on() -> None:
    """Nothing loads before somebody asks; estimates fall from then on, and it is well when it is loaded."""
    cold = Cold(100.0, loading=40.0)
    estimates = [failure.retry_after for now in (150.0, 170.0) if (failure := cold.reply(REQUEST, 10.0, now).failure)]
    assert estimates == [40.0, 20.0]
    assert (cold.ends, cold.is_loaded(189.0), cold.is_loaded(190.0)) == (190.0, False, True)
    assert cold.reply(REQUEST, 10.0, 190.0).failure is None


def test_the_tail_is_slow_by_the_lot_of_the_request() -> None:
    """The same request is slow with every policy."""
    tail = SlowTail()
    assert tail.reply(Request(0, 0.0, (10.0, 10.0), lot=0.01), 10.0, 0.0).seconds == 100.0
    assert tail.reply(REQUEST, 10.0, 0.0).seconds == 10.0


def test_a_refusal_says_its_reason_and_status() -> None:
    """Policies that look at statuses and policies that look at reasons see the same fact."""
    failure = Refuses(SICK, Reason.CREDENTIALS_REJECTED, 401).reply(REQUEST, 10.0, 100.0).failure
    assert failure is not None
    assert (failure.reason, failure.upstream_status) == (Reason.CREDENTIALS_REJECTED, 401)
