"""In which order candidates are tried, and who is passed over."""

from dataclasses import replace

import pytest

from imagegate.router.overrides import Mode
from imagegate.router.ranking import Lineup, Obstacle
from imagegate.runtime.errors import Failure, Reason
from imagegate.testing import FakeReplica, entry

A, B, C, D = (entry(f"{provider}/m") for provider in ("a", "b", "c", "d"))


@pytest.fixture
def replica() -> FakeReplica:
    """A replica that has just started."""
    return FakeReplica()


def order(lineup: Lineup) -> str:
    """The providers in the order of their turns."""
    return "".join(turn.candidate.provider for turn in lineup.turns)


def skips(lineup: Lineup) -> dict[str, Reason]:
    """Why each that is passed over is."""
    return {p.candidate.provider: p.obstacle.reason for p in lineup.passed if p.obstacle is not None}


def reject_everything(replica: FakeReplica, candidate: str) -> None:
    for prompt in range(10):
        failure = Failure(Reason.UPSTREAM_REJECTED_INPUT, "", upstream_message="unexpected keyword 'steps'")
        replica.admission.failed(replica.ask(candidate), failure, replica.clock(), prompt=prompt)


def reopen(replica: FakeReplica, candidate: str) -> None:
    """A breaker that has tripped and just closed again."""
    replica.trip(candidate)
    replica.clock.advance(15)
    for _ in range(2):
        replica.deliver(candidate)


# ── Order ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_known_leaves_the_configured_order(replica: FakeReplica) -> None:
    """R10: candidates are tried in the order of their route."""
    assert order(replica.line_up(A, B, C)) == "abc"


@pytest.mark.parametrize("reason", [Reason.DISABLED, Reason.UNSUPPORTED, Reason.NOT_ALLOWED, Reason.TOO_EXPENSIVE])
def test_what_lies_in_the_way_whatever_happens_passes_over(replica: FakeReplica, reason: Reason) -> None:
    """A candidate that cannot serve the request is skipped with its own reason."""
    lineup = replica.line_up(replace(A, obstacle=Obstacle(reason)), B)
    assert (order(lineup), skips(lineup)) == ("b", {"a": reason})


def test_a_model_that_rejects_everything_comes_last(replica: FakeReplica) -> None:
    """Rejects everything: the model stands at the end of the order, and is tried where nobody else is there."""
    reject_everything(replica, "a/m")
    assert order(replica.line_up(A, B, C)) == "bca"
    assert order(replica.line_up(A)) == "a"
    assert replica.line_up(A).turns[0].back_for == "it rejects every input: unexpected keyword 'steps'"
    replica.deliver("a/m")
    assert order(replica.line_up(A, B, C)) == "abc"


def test_a_slow_model_comes_last_and_never_opens(replica: FakeReplica) -> None:
    """Slow: demoted to the end of the order, by its own past or the configured objective; never refused."""
    for _ in range(10):
        replica.deliver("a/m", seconds=51.0)
    assert order(replica.line_up(A, B)) == "ba"
    assert order(replica.line_up(replace(A, objective=60.0), B)) == "ab"
    assert order(replica.line_up(A)) == "a"
    assert replica.refusal("a/m") is None


@pytest.mark.parametrize(
    ("after", "luck", "expected"),
    [(0, 0.09, "ab"), (0, 0.11, "ba"), (15, 0.54, "ab"), (15, 0.56, "ba"), (30, 0.99, "ab")],
)
def test_who_has_just_come_back_gets_its_turns_little_by_little(
    replica: FakeReplica, after: float, luck: float, expected: str
) -> None:
    """After closing a candidate keeps 10 % of its turns, and all of them after 30 s; else it stands at the end."""
    reopen(replica, "a/m")
    replica.clock.advance(after)
    replica.chance.luck = luck
    assert order(replica.line_up(A, B)) == expected
    assert order(replica.line_up(A)) == "a"


# ── Breakers and gates ───────────────────────────────────────────────────────────────────────────────────────────────


def test_an_open_breaker_and_a_closed_gate_pass_over(replica: FakeReplica) -> None:
    """Who is open is CIRCUIT_OPEN, who is behind a gate BACKING_OFF, with the seconds that are left."""
    replica.trip("a/m")
    replica.fail("b/m", Reason.RATE_LIMITED, retry_after=7.0)
    lineup = replica.line_up(A, B, C)
    assert (order(lineup), skips(lineup)) == ("c", {"a": Reason.CIRCUIT_OPEN, "b": Reason.BACKING_OFF})
    waits = [prospect.obstacle.wait for prospect in lineup.passed if prospect.obstacle]
    assert waits == [15.0, 7.0]


@pytest.mark.parametrize(
    ("tripped", "expected"),
    [("a", "b"), ("ab", "a"), ("b", "a")],
)
def test_of_two_candidates_statistics_take_away_at_most_one(replica: FakeReplica, tripped: str, expected: str) -> None:
    """Statistical opens remove at most half of a route's candidates, rounded up; whose time ends first is spared."""
    for provider in tripped:
        replica.trip(f"{provider}/m")
        replica.clock.advance(1)
    assert order(replica.line_up(A, B)) == expected


def test_of_four_candidates_statistics_take_away_at_most_two(replica: FakeReplica) -> None:
    """Of four open ones the two whose time ends first are tried as trials; the breakers know nothing of it."""
    for provider in "cadb":
        replica.trip(f"{provider}/m")
        replica.clock.advance(1)
    lineup = replica.line_up(A, B, C, D)
    assert order(lineup) == "ac"
    assert all(turn.is_trial for turn in lineup.turns)
    assert replica.refusal("c/m") is not None


def test_who_is_spared_stands_behind_who_is_well(replica: FakeReplica) -> None:
    """A candidate that is tried although its breaker is open comes after those that nothing speaks against."""
    for provider in "abc":
        replica.trip(f"{provider}/m")
        replica.clock.advance(1)
    lineup = replica.line_up(A, B, C, D)
    assert order(lineup) == "da"
    assert lineup.turns[1].is_trial


@pytest.mark.parametrize(
    "reason", [Reason.CREDENTIALS_REJECTED, Reason.OUT_OF_CREDIT, Reason.MODEL_ACCESS_DENIED, Reason.MODEL_NOT_FOUND]
)
def test_what_was_refused_is_never_spared(replica: FakeReplica, reason: Reason) -> None:
    """Credentials, credit and missing models are never bypassed, though nobody else is left."""
    replica.fail("a/m", reason)
    replica.fail("b/m", reason)
    assert order(replica.line_up(A, B)) == ""
    assert order(replica.line_up(A)) == ""


def test_what_operators_opened_is_never_spared(replica: FakeReplica) -> None:
    """Operators' decisions are never bypassed, and an open breaker behind one is no statistics any more."""
    replica.trip("a/m")
    replica.decide("a", Mode.OPEN)
    replica.decide("b/m", Mode.OPEN)
    assert order(replica.line_up(A, B)) == ""


def test_the_last_resort_is_a_trickle(replica: FakeReplica) -> None:
    """Where nothing is admissible one request a second goes to the statistical open that ends soonest."""
    replica.trip("b/m")
    replica.clock.advance(1)
    replica.trip("a/m")
    replica.fail("c/m", Reason.CREDENTIALS_REJECTED)
    replica.fail("d/m", Reason.RATE_LIMITED, retry_after=60.0)
    entries = (A, replace(B, obstacle=Obstacle(Reason.DISABLED)), C, D)
    lineup = replica.line_up(*entries)
    assert order(lineup) == "a"
    assert lineup.turns[0].trickles
    replica.admission.acquire("a", "m", replica.clock(), 60.0, 40.0, trickles=True)
    assert order(replica.line_up(*entries)) == ""
    replica.clock.advance(1)
    assert order(replica.line_up(*entries)) == "a"


def test_a_gate_does_not_trickle(replica: FakeReplica) -> None:
    """A known time before which not to ask holds everybody back, the last resort too."""
    for _ in range(5):
        replica.fail("a/m", Reason.OVERLOADED, retry_after=5.0)
    assert skips(replica.line_up(A)) == {"a": Reason.CIRCUIT_OPEN}
    replica.clock.advance(5)
    assert replica.line_up(A).turns[0].trickles


def test_the_next_request_after_the_open_time_is_the_probe(replica: FakeReplica) -> None:
    """Nothing is generated just to probe: who is half open stands in its place, and while it is probed is passed."""
    replica.trip("a/m")
    replica.clock.advance(15)
    assert order(replica.line_up(A, B)) == "ab"
    replica.ask("a/m")
    lineup = replica.line_up(A, B)
    assert (order(lineup), skips(lineup)) == ("b", {"a": Reason.CIRCUIT_OPEN})


# ── Time ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("remaining", "expected", "skipped"),
    [
        (300.0, "ab", {}),
        (23.3, "ab", {}),
        (23.2, "ba", {}),
        (12.8, "ba", {}),
        (12.7, "b", {"a": Reason.DEADLINE_TOO_SHORT}),
        (0.25, "", {"a": Reason.DEADLINE_TOO_SHORT, "b": Reason.DEADLINE_TOO_SHORT}),
    ],
)
def test_who_does_not_fit_the_deadline_is_passed_over(
    replica: FakeReplica, remaining: float, expected: str, skipped: dict[str, Reason]
) -> None:
    """A candidate whose p90 does not fit stands at the end, one whose p50 does not is skipped before it is paid.

    What has to fit is what the upstream gets: the provider keeps back up to 3 s to end an attempt.
    """
    lineup = replica.line_up(A, entry("b/m", usual=1.0), remaining=remaining)
    assert (order(lineup), skips(lineup)) == (expected, skipped)


def test_the_only_one_is_tried_while_there_is_any_time(replica: FakeReplica) -> None:
    """A candidate that does not fit is tried all the same where it is the only one."""
    assert order(replica.line_up(A, remaining=5.0)) == "a"
    assert skips(replica.line_up(A, remaining=0.2)) == {"a": Reason.DEADLINE_TOO_SHORT}
    assert order(replica.line_up(A, replace(B, obstacle=Obstacle(Reason.DISABLED)), remaining=5.0)) == "a"


def test_a_configured_limit_is_all_that_has_to_fit(replica: FakeReplica) -> None:
    """Nobody waits for longer than the attempt's own limit, so that is what must fit."""
    assert order(replica.line_up(replace(A, limit=2.0), B, remaining=5.0)) == "a"


def test_what_nobody_knows_is_tried(replica: FakeReplica) -> None:
    """A provider whose catalogue was not read yet is tried as configured, whatever time is left."""
    unknown = replace(A, candidate=replace(A.candidate, model=None))
    assert order(replica.line_up(unknown, B, remaining=5.0)) == "a"


def test_without_a_request_time_plays_no_part(replica: FakeReplica) -> None:
    """Whoever only asks who is available gives no deadline; nobody is waited for then."""
    replica.fail("a/m", Reason.MODEL_LOADING, retry_after=5.0)
    assert order(replica.line_up(A, B, remaining=None)) == "b"


# ── Warming ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("estimate", "remaining", "warm_for"),
    [(20.0, 300.0, 20.0), (20.1, 300.0, None), (20.0, 43.3, 20.0), (20.0, 43.2, None)],
)
def test_a_short_warming_is_waited_for_in_its_place(
    replica: FakeReplica, estimate: float, remaining: float, warm_for: float | None
) -> None:
    """R8: up to 20 s are waited for although another candidate is there, if its usual time fits behind; else it is
    next.
    """
    replica.fail("a/m", Reason.MODEL_LOADING, retry_after=estimate)
    lineup = replica.line_up(A, B, remaining=remaining)
    if warm_for is None:
        assert (order(lineup), skips(lineup)) == ("b", {"a": Reason.WARMING})
    else:
        assert (order(lineup), lineup.turns[0].warm_for) == ("ab", warm_for)


def test_a_long_warming_is_waited_for_where_nobody_else_is_left(replica: FakeReplica) -> None:
    """R8: a longer estimate is waited for where nothing else is admissible, and it fits the deadline."""
    replica.fail("a/m", Reason.MODEL_LOADING, retry_after=100.0)
    assert replica.line_up(A).turns[0].warm_for == 100.0
    assert skips(replica.line_up(A, remaining=110.2)) == {"a": Reason.WARMING}
    replica.fail("b/m", Reason.CREDENTIALS_REJECTED)
    assert replica.line_up(A, B).turns[0].warm_for == 100.0
