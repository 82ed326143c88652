"""Who may be asked now: what attempts leave behind, and what each of it means for the next request."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagegate.router.admission import MAX_MODELS, Refusal
from imagegate.router.breaker import State
from imagegate.router.events import BreakerMoved, GateClosed
from imagegate.router.overrides import Mode
from imagegate.router.verdict import Effect, verdict_on
from imagegate.runtime.errors import Failure, Reason
from imagegate.testing import FakeReplica

NEUTRAL = [reason for reason in Reason if verdict_on(reason).effect is Effect.NEUTRAL and not verdict_on(reason).gates]


@pytest.fixture
def replica() -> FakeReplica:
    """A replica that has just started."""
    return FakeReplica()


# ── What reasons do ──────────────────────────────────────────────────────────────────────────────────────────────────


@given(st.lists(st.sampled_from(NEUTRAL), max_size=40))
def test_neutral_outcomes_never_hold_anybody_back(reasons: list[Reason]) -> None:
    """Property 1: no sequence of neutral outcomes changes any breaker or gate."""
    replica = FakeReplica()
    for reason in reasons:
        replica.fail("fal/m", reason)
    assert replica.refusal("fal/m") is None
    assert replica.events == []


@pytest.mark.parametrize("reason", [Reason.CREDENTIALS_REJECTED, Reason.OUT_OF_CREDIT])
def test_a_refused_account_opens_the_provider_for_ten_minutes_to_an_hour(replica: FakeReplica, reason: Reason) -> None:
    """R7: a refused key or an empty account opens every model of the provider at once: 10 min, doubling to 1 h."""
    for length in (600, 1200, 2400, 3600, 3600):
        failure = replica.fail("fal/m", reason)
        assert replica.refusal("fal/another") == Refusal(Reason.CIRCUIT_OPEN, length, failure)
        assert replica.admission.refused_because("fal", replica.clock()) is reason
        replica.clock.advance(length)
    assert replica.refusal("fal/m") is None


def test_an_account_is_refused_until_it_delivers_again(replica: FakeReplica) -> None:
    """R7: a key that was refused is told as refused also while a first request finds out; two pictures end that."""
    replica.fail("fal/m", Reason.CREDENTIALS_REJECTED)
    replica.clock.advance(600)
    assert replica.admission.refused_because("fal", replica.clock()) is None
    assert replica.admission.refused("fal", replica.clock()) is Reason.CREDENTIALS_REJECTED
    replica.deliver("fal/m")
    replica.deliver("fal/m")
    assert replica.admission.refused("fal", replica.clock()) is None
    assert replica.admission.refused("huggingface", replica.clock()) is None


@pytest.mark.parametrize("reason", [Reason.MODEL_ACCESS_DENIED, Reason.MODEL_NOT_FOUND])
def test_a_refused_model_opens_itself_for_ten_minutes_to_six_hours(replica: FakeReplica, reason: Reason) -> None:
    """R7, property 4: a model that is missing or refused opens at once, 10 min doubling to 6 h; no other one does."""
    for length in (600, 1200, 2400, 4800, 9600, 19_200, 21_600):
        failure = replica.fail("fal/m", reason)
        assert replica.refusal("fal/m") == Refusal(Reason.CIRCUIT_OPEN, length, failure)
        assert replica.refusal("fal/another") is None
        replica.clock.advance(length)


@given(st.lists(st.sampled_from([Reason.MODEL_NOT_FOUND, Reason.MODEL_ACCESS_DENIED]), min_size=1, max_size=5))
def test_a_missing_model_never_changes_anothers_admissibility(reasons: list[Reason]) -> None:
    """R7, property 4: what is wrong with one model leaves the others alone."""
    replica = FakeReplica()
    for reason in reasons:
        replica.fail("fal/gone", reason)
        assert replica.refusal("fal/gone") is not None
        assert replica.refusal("fal/here") is None
        replica.clock.advance(8 * 3600)


def test_a_rate_limit_holds_the_provider_back_until_its_time(replica: FakeReplica) -> None:
    """R9: a 429 gates the provider, every model of it, until Retry-After has passed, and is no failure."""
    failure = replica.fail("fal/m", Reason.RATE_LIMITED, retry_after=7.0)
    assert replica.refusal("fal/another") == Refusal(Reason.BACKING_OFF, 7.0, failure)
    assert replica.events == [GateClosed("fal", 7.0)]
    replica.clock.advance(7)
    assert replica.refusal("fal/another") is None
    assert replica.admission.failure_rate("fal", "", replica.clock()) is None


def test_a_guessed_wait_is_told_to_the_caller(replica: FakeReplica) -> None:
    """R9: where the upstream does not say for how long, the failure carries what was guessed."""
    assert replica.fail("fal/m", Reason.RATE_LIMITED).retry_after == 1.0


def test_an_overload_counts_and_gates(replica: FakeReplica) -> None:
    """A plain 503 is a failure, and nobody is asked before its time."""
    for _ in range(4):
        replica.fail("fal/m", Reason.OVERLOADED, retry_after=5.0)
        replica.clock.advance(4.9)
        assert replica.refusal("fal/m") is not None
        replica.clock.advance(0.1)
        assert replica.refusal("fal/m") is None
    replica.fail("fal/m", Reason.OVERLOADED, retry_after=5.0)
    assert replica.state("fal/m") is State.OPEN


@pytest.mark.parametrize(
    "reason", [Reason.UPSTREAM_ERROR, Reason.TIMEOUT, Reason.BAD_OUTPUT, Reason.OVERLOADED, Reason.UNREACHABLE]
)
def test_what_counts_opens_after_five_in_a_row(replica: FakeReplica, reason: Reason) -> None:
    """S2: five failures of any kind that counts open it for 15 s, by statistics."""
    for _ in range(5):
        failure = replica.fail("fal/m", reason, retry_after=0.0)
    assert replica.refusal("fal/m") == Refusal(Reason.CIRCUIT_OPEN, 15.0, failure, is_statistical=True)


def test_the_provider_opens_when_two_of_its_models_fail(replica: FakeReplica) -> None:
    """A provider is pooled: failures of two models open it; those of one do not while another one delivers."""
    replica.deliver("fal/well")
    for _ in range(5):
        replica.fail("fal/sick", Reason.UPSTREAM_ERROR)
    assert (replica.state("fal/sick"), replica.state("fal")) == (State.OPEN, State.CLOSED)
    assert replica.refusal("fal/well") is None
    replica.fail("fal/well", Reason.UPSTREAM_ERROR)
    assert (replica.state("fal/well"), replica.state("fal")) == (State.CLOSED, State.OPEN)
    assert replica.refusal("fal/well") is not None


def test_the_provider_opens_by_its_only_model_with_traffic(replica: FakeReplica) -> None:
    """Where one model has all of the traffic, its failures are the provider's."""
    for _ in range(5):
        replica.fail("fal/m", Reason.UPSTREAM_ERROR)
    assert (replica.state("fal/m"), replica.state("fal")) == (State.OPEN, State.OPEN)


def test_what_cannot_be_reached_opens_the_provider_and_no_model(replica: FakeReplica) -> None:
    """UNREACHABLE counts at the provider, whatever its models do."""
    replica.deliver("fal/well")
    for _ in range(5):
        replica.fail("fal/m", Reason.UNREACHABLE)
    assert (replica.state("fal/m"), replica.state("fal")) == (State.CLOSED, State.OPEN)


def test_a_starved_attempt_says_nothing_about_the_model(replica: FakeReplica) -> None:
    """A time-out counts, unless the attempt was given less than the model's usual time."""
    for _ in range(20):
        replica.admission.failed(replica.ask("fal/m"), Failure(Reason.TIMEOUT, ""), replica.clock(), starved=True)
    assert replica.refusal("fal/m") is None
    for _ in range(5):
        replica.fail("fal/m", Reason.TIMEOUT)
    assert replica.refusal("fal/m") is not None


def test_where_several_things_hold_it_back_the_longest_is_told(replica: FakeReplica) -> None:
    """Of an open breaker and a closed gate the later end is told; it is no mere statistics while a gate is closed."""
    for _ in range(5):
        failure = replica.fail("fal/m", Reason.OVERLOADED, retry_after=5.0)
    assert replica.refusal("fal/m") == Refusal(Reason.CIRCUIT_OPEN, 15.0, failure, is_statistical=False)
    failure = replica.fail("fal/m", Reason.RATE_LIMITED, retry_after=60.0)
    assert replica.refusal("fal/m") == Refusal(Reason.BACKING_OFF, 60.0, failure)


def test_a_hang_is_seen_before_the_time_outs(replica: FakeReplica) -> None:
    """Early trip: attempts in flight longer than their p99 open both breakers; later successes change nothing then."""
    hanging = [replica.ask("fal/m") for _ in range(5)]
    replica.clock.advance(39.9)
    assert replica.refusal("fal/m") is None
    replica.clock.advance(0.1)
    assert replica.refusal("fal/m") is not None
    for permits in hanging:
        replica.admission.delivered(permits, replica.clock(), 40.0, usual=1.0)
    assert (replica.state("fal/m"), replica.state("fal")) == (State.OPEN, State.OPEN)


def test_a_hang_that_delivers_after_all_was_none(replica: FakeReplica) -> None:
    """Early trip: what was counted while it hung is withdrawn at both scopes when it delivers."""
    hanging = [replica.ask("fal/m") for _ in range(4)]
    replica.clock.advance(50)
    replica.admission.look(replica.clock())
    assert replica.admission.failure_rate("fal", "m", replica.clock()) == 1.0
    for permits in hanging:
        replica.admission.delivered(permits, replica.clock(), 50.0, usual=1.0)
    assert replica.admission.failure_rate("fal", "m", replica.clock()) == 0.0
    assert replica.admission.failure_rate("fal", "", replica.clock()) == 0.0


def test_the_breakers_look_back_over_three_slow_pictures(replica: FakeReplica) -> None:
    """The window is as long as the model's own pictures ask for, once enough were seen."""
    for _ in range(20):
        replica.deliver("fal/m", seconds=50.0)
    assert replica.admission._models["fal", "m"].breaker.window.length == 150.0
    assert replica.admission._providers["fal"].breaker.window.length == 150.0
    assert replica.admission.usual("fal", "m", 0.50, usual=1.0) == 50.0
    assert replica.admission.usual("fal", "other", 0.50, usual=1.0) == 1.0


# ── Loading ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_loading_model_holds_only_itself_back(replica: FakeReplica) -> None:
    """R8: a cold model is warming until its estimate, no failure, no gate of its provider; its siblings are asked."""
    failure = replica.fail("fal/m", Reason.MODEL_LOADING, retry_after=20.0)
    assert replica.refusal("fal/m") == Refusal(Reason.WARMING, 20.0, failure)
    assert replica.refusal("fal/another") is None
    assert replica.events == []
    assert replica.admission.failure_rate("fal", "m", replica.clock()) is None


def test_a_model_that_is_loaded_may_be_asked_at_once(replica: FakeReplica) -> None:
    """R8: the upstream's free word that a model is ready ends its warming before the estimate does."""
    replica.fail("fal/m", Reason.MODEL_LOADING, retry_after=20.0)
    replica.admission.warmed("fal", "m", replica.clock())
    assert replica.refusal("fal/m") is None


def test_a_model_that_does_not_get_nearer_is_overloaded(replica: FakeReplica) -> None:
    """R8: the third estimate that does not fall is a failure like any other, told as what it is."""
    reasons = []
    for _ in range(3):
        failure = replica.fail("fal/m", Reason.MODEL_LOADING, retry_after=20.0)
        reasons.append(failure.reason)
        replica.clock.advance(20)
    assert reasons == [Reason.MODEL_LOADING, Reason.MODEL_LOADING, Reason.OVERLOADED]
    assert failure.message == "it has been loading for too long without getting nearer: its own words"
    assert replica.admission.failure_rate("fal", "m", replica.clock()) == 1.0


def test_a_model_that_does_not_get_nearer_holds_only_itself_back(replica: FakeReplica) -> None:
    """R8: one model that stands still does not keep its provider's other models from being asked."""
    for _ in range(3):
        replica.fail("fal/m", Reason.MODEL_LOADING, retry_after=20.0)
        replica.clock.advance(20)
    refusal = replica.refusal("fal/m")
    assert refusal is None or refusal.reason is Reason.BACKING_OFF
    replica.fail("fal/m", Reason.MODEL_LOADING, retry_after=20.0)
    assert replica.refusal("fal/m") is not None
    assert replica.refusal("fal/another") is None
    assert not [event for event in replica.events if isinstance(event, GateClosed)]


def test_five_minutes_of_loading_are_overload(replica: FakeReplica) -> None:
    """R8: after five minutes of warming it is OVERLOADED, although its estimates fall."""
    reasons = []
    for estimate in (400.0, 300.0, 200.0, 100.0):
        reasons.append(replica.fail("fal/m", Reason.MODEL_LOADING, retry_after=estimate).reason)
        replica.clock.advance(100)
    assert reasons == [Reason.MODEL_LOADING] * 3 + [Reason.OVERLOADED]


# ── Rejects everything, slow, ramping ────────────────────────────────────────────────────────────────────────────────


def reject(replica: FakeReplica, times: int, prompts: int) -> None:
    for number in range(times):
        failure = Failure(Reason.UPSTREAM_REJECTED_INPUT, "refused", upstream_message="unexpected keyword 'steps'")
        replica.admission.failed(replica.ask("fal/m"), failure, replica.clock(), prompt=number % prompts)


def test_a_model_that_rejects_everything_shows_with_the_upstreams_words(replica: FakeReplica) -> None:
    """Ten rejections in a row from three prompts show; the first success clears it; no breaker moves."""
    reject(replica, times=9, prompts=3)
    assert replica.admission.rejecting("fal", "m") == ""
    reject(replica, times=1, prompts=3)
    assert replica.admission.rejecting("fal", "m") == "unexpected keyword 'steps'"
    assert replica.admission.rejecting("fal", "another") == ""
    assert replica.refusal("fal/m") is None
    replica.deliver("fal/m")
    assert replica.admission.rejecting("fal", "m") == ""


def test_slowness_is_known_by_model(replica: FakeReplica) -> None:
    """Ten pictures of which eight take more than twice the usual p95 are slow, unless that is the objective."""
    for _ in range(10):
        replica.deliver("fal/m", seconds=51.0)
    assert replica.admission.is_slow("fal", "m", replica.clock(), usual=10.0, objective=None)
    assert not replica.admission.is_slow("fal", "m", replica.clock(), usual=10.0, objective=60.0)
    assert not replica.admission.is_slow("fal", "another", replica.clock(), usual=10.0, objective=None)
    assert replica.refusal("fal/m") is None


def test_both_scopes_ramp(replica: FakeReplica) -> None:
    """After closing, the lesser share of provider and model counts."""
    assert replica.admission.share("fal", "m", replica.clock()) == 1.0
    for _ in range(5):
        replica.fail("fal/m", Reason.UPSTREAM_ERROR)
    replica.clock.advance(15)
    for _ in range(2):
        replica.deliver("fal/m")
    assert replica.admission.share("fal", "m", replica.clock()) == pytest.approx(0.1)
    replica.clock.advance(15)
    assert replica.admission.share("fal", "another", replica.clock()) == pytest.approx(0.55)
    replica.clock.advance(15)
    assert replica.admission.share("fal", "m", replica.clock()) == 1.0


# ── Operators and keys ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("scope", ["fal", "fal/m"])
def test_what_an_operator_opened_is_closed_to_everybody_until_its_end(replica: FakeReplica, scope: str) -> None:
    """S2: an operator takes a provider or a model out for a time, which no statistics bypass."""
    replica.decide(scope, Mode.OPEN, seconds=100)
    refusal = replica.refusal("fal/m")
    assert refusal is not None
    assert (refusal.reason, refusal.wait, refusal.is_statistical) == (Reason.CIRCUIT_OPEN, 100, False)
    assert refusal.because is not None
    assert refusal.because.message == "alice opened it: it draws nonsense"
    replica.clock.advance(100)
    assert replica.refusal("fal/m") is None


def test_what_an_operator_closed_is_asked_whatever_its_breaker_says(replica: FakeReplica) -> None:
    """S2: an operator closes a breaker: what opened it is forgotten, and it holds nobody back until the end."""
    replica.fail("fal/m", Reason.CREDENTIALS_REJECTED)
    replica.decide("fal", Mode.CLOSED)
    assert (replica.refusal("fal/m"), replica.state("fal")) == (None, State.CLOSED)
    replica.fail("fal/m", Reason.CREDENTIALS_REJECTED)
    assert (replica.refusal("fal/m"), replica.state("fal")) == (None, State.OPEN)


def test_an_observed_breaker_moves_and_holds_nobody_back(replica: FakeReplica) -> None:
    """S2: observe-only lets everybody pass, while the breaker counts, opens and closes as ever."""
    replica.decide("fal", Mode.OBSERVE_ONLY, seconds=10)
    replica.decide("fal/m", Mode.OBSERVE_ONLY, seconds=10)
    for _ in range(5):
        replica.fail("fal/m", Reason.UPSTREAM_ERROR)
    assert (replica.refusal("fal/m"), replica.state("fal")) == (None, State.OPEN)
    replica.clock.advance(10)
    assert replica.refusal("fal/m") is not None


def test_an_operator_who_closes_a_breaker_opens_the_gate(replica: FakeReplica) -> None:
    """An operator's CLOSED ends a wait too, which may be a day long: the next limit that is met counts again."""
    replica.fail("fal/m", Reason.OVER_QUOTA, retry_after=80_000.0)
    replica.decide("fal", Mode.CLOSED)
    assert replica.refusal("fal/m") is None
    replica.fail("fal/m", Reason.RATE_LIMITED, retry_after=7.0)
    assert replica.refusal("fal/m") is not None


def test_what_has_changed_for_a_quota_opens_its_gate(replica: FakeReplica) -> None:
    """R9: another key, or a provider that says it has requests left, ends the wait for a used-up quota."""
    for over in (replica.admission.key_renewed, replica.admission.quota_left):
        replica.fail("fal/m", Reason.OVER_QUOTA, retry_after=80_000.0)
        over("fal", replica.clock())
        assert replica.refusal("fal/m") is None
    replica.fail("fal/m", Reason.RATE_LIMITED, retry_after=7.0)
    replica.admission.quota_left("fal", replica.clock())
    assert replica.refusal("fal/m") is not None


def test_made_up_models_do_not_push_out_those_of_a_catalogue(replica: FakeReplica) -> None:
    """However many upstream ids callers make up, what is known of a listed model stays."""
    for _ in range(20):
        replica.deliver("fal/listed", seconds=2.0)
    for number in range(MAX_MODELS + 10):
        permits = replica.admission.acquire("fal", f"made/up-{number}", replica.clock(), 60, 40, is_listed=False)
        replica.admission.failed(permits, Failure(Reason.MODEL_NOT_FOUND, "no"), replica.clock())
    assert replica.admission.usual("fal", "listed", 0.5, 10.0) == 2.0


def test_the_permit_of_a_forgotten_model_settles_nothing(replica: FakeReplica) -> None:
    """A late end of an attempt at a model that was forgotten meanwhile says nothing about whoever has its name now."""
    late = replica.ask("fal/m")
    del replica.admission._models["fal", "m"]
    for _ in range(4):
        replica.fail("fal/m", Reason.UPSTREAM_ERROR)
    replica.admission.delivered(late, replica.clock(), 1.0, 10.0)
    replica.fail("fal/m", Reason.UPSTREAM_ERROR)
    assert replica.state("fal/m") is State.OPEN


def test_a_new_key_may_use_what_the_former_might_not(replica: FakeReplica) -> None:
    """A model that was refused to the key is half open when there is another one; a missing one stays open."""
    replica.fail("fal/gated", Reason.MODEL_ACCESS_DENIED)
    replica.fail("fal/missing", Reason.MODEL_NOT_FOUND)
    replica.admission.key_renewed("fal", replica.clock())
    assert replica.refusal("fal/gated") is None
    assert replica.refusal("fal/missing") is not None


def test_a_new_key_lets_the_next_request_find_out(replica: FakeReplica) -> None:
    """A provider whose account was refused is half open when it has another key; one that is sick stays open."""
    replica.fail("fal/m", Reason.CREDENTIALS_REJECTED)
    replica.admission.key_renewed("fal", replica.clock())
    assert replica.refusal("fal/m") is None
    assert replica.state("fal") is State.HALF_OPEN
    for _ in range(5):
        replica.fail("other/m", Reason.UPSTREAM_ERROR)
    replica.admission.key_renewed("other", replica.clock())
    assert replica.state("other") is State.OPEN
    replica.admission.key_renewed("never-asked", replica.clock())


# ── Trickle ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_trial_of_the_last_resort_may_come_once_a_second(replica: FakeReplica) -> None:
    """One request a second goes to a candidate whose breaker is open where nobody else is left."""
    admission, clock = replica.admission, replica.clock
    replica.trip("fal/m")
    assert admission.may_trickle("fal", "m", clock())
    admission.acquire("fal", "m", clock(), 60.0, 40.0, trickles=True)
    assert admission.may_trickle("fal", "another", clock())
    assert not admission.may_trickle("fal", "m", clock.advance(0.9))
    assert admission.may_trickle("fal", "m", clock.advance(0.1))


def test_a_provider_that_is_open_sees_one_trial_a_second_for_all_of_its_models(replica: FakeReplica) -> None:
    """Where the provider itself is open, requests for ten of its models are not ten trials a second."""
    for _ in range(5):
        replica.fail("fal/m", Reason.UNREACHABLE)
    replica.admission.acquire("fal", "m", replica.clock(), 60.0, 40.0, trickles=True)
    assert not replica.admission.may_trickle("fal", "another", replica.clock())
    assert replica.admission.may_trickle("fal", "another", replica.clock.advance(1))


# ── Memory, events, looking ──────────────────────────────────────────────────────────────────────────────────────────


def test_any_number_of_model_names_takes_bounded_memory(replica: FakeReplica) -> None:
    """Requests may name any upstream id: idle models are forgotten, and an open one is not pushed out by names."""
    replica.fail("fal/gone", Reason.MODEL_NOT_FOUND)
    for index in range(2000):
        replica.admission.release(replica.ask(f"fal/someone/{index}"), replica.clock())
    assert len(replica.admission._models) == MAX_MODELS
    assert replica.refusal("fal/gone") is not None
    for index in range(2000):
        replica.refusal(f"fal/asked-only/{index}")
    assert len(replica.admission._models) == MAX_MODELS


def test_a_new_model_finds_room_where_all_others_are_open(replica: FakeReplica) -> None:
    """Requests for many names that nobody has do not keep the others from being asked for."""
    for index in range(MAX_MODELS):
        replica.fail(f"fal/gone-{index}", Reason.MODEL_NOT_FOUND)
    replica.deliver("fal/here")
    assert len(replica.admission._models) == MAX_MODELS
    assert replica.refusal("fal/gone-0") is None
    assert replica.refusal("fal/gone-1") is not None


def test_every_transition_is_told_once_with_its_reason(replica: FakeReplica) -> None:
    """R11: OPEN with the reason that opened it, HALF_OPEN when its time is over, CLOSED after two successes."""
    replica.deliver("fal/well")
    for _ in range(5):
        replica.fail("fal/m", Reason.UPSTREAM_ERROR)
    replica.clock.advance(15)
    replica.admission.look(replica.clock())
    for _ in range(2):
        replica.deliver("fal/m")
    moves = [(event.model, event.state, event.reason) for event in replica.events if isinstance(event, BreakerMoved)]
    assert moves == [("m", "open", Reason.UPSTREAM_ERROR), ("m", "half_open", None), ("m", "closed", None)]


def test_whoever_looks_leaves_no_trace(replica: FakeReplica) -> None:
    """Status and metrics may ask about any name, and move nothing."""
    for _ in range(5):
        replica.fail("fal/m", Reason.UPSTREAM_ERROR)
    told = len(replica.events)
    replica.clock.advance(15)
    assert replica.state("fal") is State.HALF_OPEN
    assert replica.admission.worst("fal", replica.clock()) is State.HALF_OPEN
    assert replica.admission.worst("unknown", replica.clock()) is State.CLOSED
    assert replica.state("unknown/unknown") is State.CLOSED
    assert replica.admission.refused_because("unknown", replica.clock()) is None
    assert replica.admission.failure_rate("unknown", "", replica.clock()) is None
    assert len(replica.events) == told
    assert len(replica.admission._models) == 1


def test_one_settled_permit_frees_both_scopes(replica: FakeReplica) -> None:
    """A probe of provider and model gives both places back, whatever it ends with."""
    for _ in range(5):
        replica.fail("fal/m", Reason.UPSTREAM_ERROR)
    replica.clock.advance(15)
    for reason in (Reason.UPSTREAM_REJECTED_INPUT, Reason.CANCELLED, Reason.BUSY):
        assert replica.refusal("fal/m") is None
        permits = replica.ask("fal/m")
        assert permits.of_provider.is_probe
        assert permits.of_model.is_probe
        assert replica.refusal("fal/m") is not None
        replica.admission.failed(permits, Failure(reason, ""), replica.clock())
    assert replica.refusal("fal/m") is None
