"""What a reason means, and whom not to ask for a while."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagegate.router.admission import Admission
from imagegate.router.breaker import State
from imagegate.router.events import BreakerMoved, Event, GateClosed
from imagegate.router.gates import Gates
from imagegate.router.verdict import VERDICTS, Effect, Group, Next, verdict_on
from imagegate.runtime.errors import Failure, Reason
from imagegate.testing import FakeClock

NEUTRAL = [reason for reason in Reason if verdict_on(reason).effect is Effect.NEUTRAL and not verdict_on(reason).gates]


def admission(events: list[Event] | None = None) -> Admission:
    return Admission((events if events is not None else []).append, lambda: 0.0)


@pytest.mark.parametrize(
    ("reason", "next_", "effect", "group", "gates"),
    [
        (Reason.UPSTREAM_REJECTED_INPUT, Next.ONE, Effect.NEUTRAL, Group.REJECTED, False),
        (Reason.CONTENT_REJECTED, Next.NONE, Effect.NEUTRAL, Group.REJECTED, False),
        (Reason.CREDENTIALS_REJECTED, Next.ANY, Effect.OPENS_PROVIDER, Group.FAILED, False),
        (Reason.MODEL_ACCESS_DENIED, Next.ANY, Effect.OPENS_MODEL, Group.FAILED, False),
        (Reason.RATE_LIMITED, Next.ANY, Effect.NEUTRAL, Group.LIMITED, True),
        (Reason.MODEL_LOADING, Next.ANY, Effect.NEUTRAL, Group.LIMITED, True),
        (Reason.OVERLOADED, Next.ANY, Effect.MODEL_FAILURE, Group.FAILED, True),
        (Reason.UNREACHABLE, Next.ANY, Effect.PROVIDER_FAILURE, Group.FAILED, False),
        (Reason.INTERNAL, Next.NONE, Effect.NEUTRAL, Group.NEUTRAL, False),
    ],
)
def test_the_table_of_reasons(reason: Reason, next_: Next, effect: Effect, group: Group, gates: bool) -> None:
    """Each reason has one verdict, and nothing else decides."""
    verdict = VERDICTS[reason]
    assert (verdict.next, verdict.effect, verdict.group, verdict.gates) == (next_, effect, group, gates)


def test_a_rate_limit_holds_the_provider_back_until_its_time() -> None:
    """R9: a 429 gates the provider, every model of it, until Retry-After has passed; the later time stands."""
    clock, guard = FakeClock(), admission()
    permits = guard.acquire("fal", "a", clock())
    guard.failed(permits, Failure(Reason.RATE_LIMITED, "", retry_after=7.0), clock())
    refusal = guard.refusal("fal", "b", clock())
    assert refusal is not None
    assert (refusal.reason, refusal.wait) == (Reason.BACKING_OFF, 7.0)
    clock.advance(7)
    assert guard.refusal("fal", "b", clock()) is None


def test_without_a_retry_after_the_wait_is_guessed_and_doubled() -> None:
    """R9: 1, 2, 4 … up to 60 s, and back to the shortest after a success."""
    gates = Gates()
    waits = [
        gates.close("fal", "m", Reason.RATE_LIMITED, None, now=1000.0 * i, jitter=0) - 1000.0 * i for i in range(8)
    ]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    gates.open("fal", "m")
    assert gates.close("fal", "m", Reason.RATE_LIMITED, None, now=9000.0, jitter=0) == 9001


def test_a_loading_model_holds_only_itself_back() -> None:
    """R8: a cold model is warming until its estimate, no failure, and its siblings are asked as before."""
    clock, guard = FakeClock(), admission()
    permits = guard.acquire("huggingface", "cold", clock())
    guard.failed(permits, Failure(Reason.MODEL_LOADING, "", retry_after=20.0), clock())
    refusal = guard.refusal("huggingface", "cold", clock())
    assert refusal is not None
    assert (refusal.reason, refusal.wait) == (Reason.WARMING, 20.0)
    assert guard.refusal("huggingface", "warm", clock()) is None


@given(st.lists(st.sampled_from(NEUTRAL), max_size=40))
def test_neutral_outcomes_never_hold_anybody_back(reasons: list[Reason]) -> None:
    """Property 1: no sequence of neutral outcomes changes any breaker or gate."""
    events: list[Event] = []
    guard = admission(events)
    for reason in reasons:
        guard.failed(guard.acquire("fal", "m", 0.0), Failure(reason, ""), 0.0)
    assert guard.refusal("fal", "m", 0.0) is None
    assert events == []


@given(st.lists(st.sampled_from([Reason.MODEL_NOT_FOUND, Reason.MODEL_ACCESS_DENIED]), min_size=1, max_size=5))
def test_a_missing_model_never_changes_anothers_admissibility(reasons: list[Reason]) -> None:
    """R7, property 4: what is wrong with one model leaves the others alone."""
    clock, guard = FakeClock(), admission()
    for reason in reasons:
        guard.failed(guard.acquire("fal", "gone", clock()), Failure(reason, ""), clock())
        assert guard.refusal("fal", "gone", clock()) is not None
        assert guard.refusal("fal", "here", clock()) is None
        clock.advance(8 * 3600)


def test_any_number_of_model_names_takes_bounded_memory() -> None:
    """Requests may name any upstream id: idle breakers are forgotten, and an open one is not pushed out by names."""
    guard = admission()
    guard.failed(guard.acquire("huggingface", "gone", 0.0), Failure(Reason.MODEL_NOT_FOUND, ""), 0.0)
    for index in range(2000):
        guard.release(guard.acquire("huggingface", f"someone/{index}", 0.0), 0.0)
    assert len(guard._models) == 512
    assert guard.refusal("huggingface", "gone", 1.0) is not None
    for index in range(2000):
        guard.refusal("huggingface", f"asked-only/{index}", 0.0)
    assert len(guard._models) == 512


def test_every_transition_is_told_once_with_its_reason() -> None:
    """R11: OPEN with the reason that opened it, HALF_OPEN when the first probe leaves, CLOSED after two successes."""
    clock = FakeClock()
    events: list[Event] = []
    guard = admission(events)
    for _ in range(5):
        guard.failed(guard.acquire("fal", "m", clock()), Failure(Reason.UPSTREAM_ERROR, ""), clock())
    clock.advance(15)
    assert guard.state("fal", "m", clock()) is State.HALF_OPEN
    for _ in range(2):
        guard.delivered(guard.acquire("fal", "m", clock()), clock(), 1.0, 1.0)
    moves = [(event.model, event.state, event.reason) for event in events if isinstance(event, BreakerMoved)]
    assert moves == [("m", "open", Reason.UPSTREAM_ERROR), ("m", "half_open", None), ("m", "closed", None)]


def test_a_model_that_is_warming_does_not_show_as_a_gate_of_its_provider() -> None:
    """R8: only what holds the whole provider back is told as its gate."""
    events: list[Event] = []
    guard = admission(events)
    guard.failed(guard.acquire("hf", "cold", 0.0), Failure(Reason.MODEL_LOADING, "", retry_after=20.0), 0.0)
    assert events == []
    limited = Failure(Reason.RATE_LIMITED, "")
    guard.failed(guard.acquire("hf", "warm", 0.0), limited, 0.0)
    assert events == [GateClosed("hf", 1.0)]
    assert limited.retry_after == 1.0


def test_an_until_never_moves_back() -> None:
    """Property 2: a later, shorter hint does not shorten an earlier one, and no hint reaches beyond its bound."""
    gates = Gates()
    gates.close("fal", "m", Reason.RATE_LIMITED, 100.0, now=0.0, jitter=0)
    assert gates.close("fal", "m", Reason.RATE_LIMITED, 5.0, now=1.0, jitter=0) == 100.0
    assert gates.close("fal", "m", Reason.RATE_LIMITED, 1e12, now=0.0, jitter=0) == 600.0
    assert gates.close("sd", "m", Reason.OVER_QUOTA, 1e12, now=0.0, jitter=0) == 86_400.0


def test_a_starved_attempt_says_nothing_about_the_model() -> None:
    """A time-out counts, unless the attempt was given less than the model's usual time."""
    guard = admission()
    for _ in range(20):
        guard.failed(guard.acquire("fal", "m", 0.0), Failure(Reason.TIMEOUT, ""), 0.0, starved=True)
    assert guard.refusal("fal", "m", 0.0) is None
    for _ in range(5):
        guard.failed(guard.acquire("fal", "m", 0.0), Failure(Reason.TIMEOUT, ""), 0.0)
    assert guard.refusal("fal", "m", 0.0) is not None


def test_the_breakers_look_back_over_three_slow_pictures() -> None:
    """The window is as long as the model's own pictures ask for, once enough were seen."""
    guard = admission()
    for _ in range(20):
        guard.delivered(guard.acquire("fal", "m", 0.0), 0.0, seconds=50.0, usual=1.0)
    assert guard._models["fal", "m"].window.length == 150.0
    assert guard.usual("fal", "m", 0.50, usual=1.0) == 50.0
    assert guard.usual("fal", "other", 0.50, usual=1.0) == 1.0
