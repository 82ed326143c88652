"""What holds of every breaker and gate whatever attempts are made, by whom, when, and however they end.

The properties 1 to 4 and 8, on attempts that are asked for without regard to what admission says: so it
must hold for trials too.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from imagegate.router.admission import Permits
from imagegate.router.breaker import LEASE_GRACE_SECONDS, CircuitBreaker, Permit, State
from imagegate.router.overrides import Mode, Scope
from imagegate.runtime.errors import Failure, Reason
from imagegate.testing import FakeReplica

CANDIDATES = ("a/one", "a/two", "b/one")
SCOPES = ("a", "a/one", "a/two", "b", "b/one")
REFUSING = {
    Reason.CREDENTIALS_REJECTED,
    Reason.OUT_OF_CREDIT,
    Reason.MODEL_ACCESS_DENIED,
    Reason.MODEL_NOT_FOUND,
}
COUNTED = {Reason.OVERLOADED, Reason.UPSTREAM_ERROR, Reason.UNREACHABLE, Reason.TIMEOUT, Reason.BAD_OUTPUT}
NEUTRAL = set(Reason) - REFUSING - COUNTED
# So short that the window stays a minute long, however many pictures are seen.
USUAL = 8.0
OVERDUE = 32.0

candidates = st.sampled_from(CANDIDATES)
reasons = st.sampled_from(sorted(REFUSING)) | st.sampled_from(sorted(COUNTED)) | st.sampled_from(sorted(NEUTRAL))
which = st.integers(0, 20)
pauses = st.sampled_from((0.1, 1.0, 5.0, 15.0, 20.0, 40.0, 70.0, 400.0, 4000.0))
hints = st.sampled_from((None, 0.0, 1.0, 20.0, 100.0, 1e6))


@dataclass(frozen=True)
class Attempt:
    """One that is under way, or that nobody will ever tell the end of."""

    candidate: str
    permits: Permits
    lease_until: float

    def of(self, scope: str) -> Permit | None:
        """Its permit of a scope, None where it is none of its own."""
        provider, _, model = scope.partition("/")
        if provider != self.permits.provider or model not in ("", self.permits.model):
            return None
        return self.permits.of_model if model else self.permits.of_provider


class Scopes(RuleBasedStateMachine):
    """Two providers with three models between them."""

    def __init__(self) -> None:
        super().__init__()
        self.replica = FakeReplica()
        self.under_way: list[Attempt] = []
        self.lost: list[Attempt] = []
        self.open_until: dict[str, float] = {}
        self.closed_until: dict[str, float] = {}
        # The scopes whose time may be cut short by what has just happened.
        self.excused: set[str] = set()

    # ── What happens ─────────────────────────────────────────────────────────────────────────────────────────────

    @rule(candidate=candidates, timeout=st.sampled_from((5.0, 60.0)))
    def somebody_asks(self, candidate: str, timeout: float) -> None:
        """An attempt is made, whether it is admitted or a trial."""
        provider, _, model = candidate.partition("/")
        now = self.replica.clock()
        permits = self.replica.admission.acquire(provider, model, now, timeout, OVERDUE)
        self.under_way.append(Attempt(candidate, permits, now + min(timeout, OVERDUE) + LEASE_GRACE_SECONDS))

    @precondition(lambda self: self.under_way)
    @rule(index=which)
    def it_delivers(self, index: int) -> None:
        """An attempt ends well."""
        attempt, before = self.take(index), self.pictures()
        for scope in self.scopes_of(attempt):
            breaker, permit = self.breaker(scope), attempt.of(scope)
            is_second = breaker._state is State.OPEN and breaker._successes == 1
            if is_second and permit is not None and permit.generation == breaker._generation:
                self.excused.add(scope)  # two trials delivered, which closes it
        self.replica.admission.delivered(attempt.permits, self.replica.clock(), USUAL, USUAL)
        self.check_generations(attempt, before)

    @precondition(lambda self: self.under_way)
    @rule(index=which, reason=reasons, hint=hints, starved=st.booleans(), prompt=st.integers(0, 3))
    def it_fails(self, index: int, reason: Reason, hint: float | None, starved: bool, prompt: int) -> None:
        """An attempt fails, for whatever reason."""
        attempt, before = self.take(index), self.pictures()
        others = self.waits(attempt)
        failure = Failure(reason, "", retry_after=hint)
        is_starved = starved and reason is Reason.TIMEOUT
        self.replica.admission.failed(attempt.permits, failure, self.replica.clock(), starved=is_starved, prompt=prompt)
        self.check_generations(attempt, before)
        if failure.reason in NEUTRAL or is_starved:
            assert self.pictures() == before, "property 1: a neutral outcome changed a breaker"
        if failure.reason in (Reason.MODEL_NOT_FOUND, Reason.MODEL_ACCESS_DENIED):
            longer = {other for other, wait in self.waits(attempt).items() if wait > others.get(other, 0.0)}
            assert not longer, "property 4: a missing model held another one back"

    @precondition(lambda self: self.under_way)
    @rule(index=which)
    def its_caller_leaves(self, index: int) -> None:
        """An attempt is cancelled."""
        attempt, before = self.take(index), self.pictures()
        self.replica.admission.release(attempt.permits, self.replica.clock())
        assert self.pictures() == before, "property 1: a cancelled attempt changed a breaker"

    @precondition(lambda self: self.under_way)
    @rule(index=which)
    def it_is_killed(self, index: int) -> None:
        """An attempt is never told the end of."""
        self.lost.append(self.take(index))

    @rule(candidate=candidates, is_over=st.booleans())
    def a_breaker_opens(self, candidate: str, is_over: bool) -> None:
        """Because attempts of others fail in a row; perhaps a while ago."""
        self.replica.trip(candidate)
        if is_over:
            self.replica.clock.advance(15.0)

    @rule(seconds=pauses)
    def time_passes(self, seconds: float) -> None:
        """And nothing else happens."""
        self.replica.clock.advance(seconds)

    @rule(scope=st.sampled_from(SCOPES), mode=st.sampled_from(Mode), seconds=pauses)
    def an_operator_decides(self, scope: str, mode: Mode, seconds: float) -> None:
        """About a provider or a model."""
        self.replica.decide(scope, mode, seconds)
        self.excused.add(scope)

    @rule(provider=st.sampled_from(("a", "b")))
    def a_key_is_renewed(self, provider: str) -> None:
        """The provider's process has read another one, which may be allowed models that the former was not."""
        self.replica.admission.key_renewed(provider, self.replica.clock())
        self.excused |= {scope for scope in self.known() if scope.partition("/")[0] == provider}

    @rule(candidate=candidates)
    def a_model_is_loaded(self, candidate: str) -> None:
        """The upstream says so."""
        provider, _, model = candidate.partition("/")
        self.replica.admission.warmed(provider, model, self.replica.clock())
        self.closed_until.pop(candidate, None)

    # ── What holds ───────────────────────────────────────────────────────────────────────────────────────────────

    @invariant()
    def no_time_is_cut_short(self) -> None:
        """2: `until` never decreases, except by an operator, a new key, or two deliveries."""
        now = self.replica.clock()
        for scope in self.known():
            breaker = self.breaker(scope)
            until = self.open_until.pop(scope, now)
            if until > now and scope not in self.excused:
                assert breaker.peek(now) is State.OPEN, "property 2: it was open, and is not"
                assert breaker._until >= until, "property 2: its time was cut short"
            if breaker.peek(now) is State.OPEN:
                self.open_until[scope] = breaker._until
            closed = self.known()[scope].gate._closed
            assert closed is None or closed.until >= self.closed_until.get(scope, 0.0), "property 2: a gate opened"
            self.closed_until[scope] = closed.until if closed is not None else 0.0
        self.excused.clear()

    @invariant()
    def at_most_one_probe_holds_a_lease(self) -> None:
        """3: one probe at a time, and its place is free the moment it ends or its lease expires."""
        now = self.replica.clock()
        for scope in self.known():
            breaker = self.breaker(scope)
            if breaker.peek(now) is State.HALF_OPEN:
                holders = [attempt for attempt in self.under_way + self.lost if self.holds_lease(attempt, scope, now)]
                assert len(holders) <= 1, "property 3: two probes at a time"
                is_taken = breaker.until(now) is not None
                assert is_taken is bool(holders), "property 3: the lease is not its probe's"

    def teardown(self) -> None:
        """When everything has ended, nothing is under way in any breaker but what was killed."""
        while self.under_way:
            self.its_caller_leaves(0)
        for scope in self.known():
            killed = {permit.number for attempt in self.lost if (permit := attempt.of(scope)) is not None}
            assert self.breaker(scope)._under_way.keys() <= killed

    # ── Looking inside ───────────────────────────────────────────────────────────────────────────────────────────

    def known(self) -> Mapping[str, "object"]:
        """Every scope that was ever asked for, by name."""
        admission = self.replica.admission
        return {**admission._providers, **{_name(place): scope for place, scope in admission._models.items()}}

    def breaker(self, scope: str) -> CircuitBreaker:
        """The breaker of a scope."""
        return self.known()[scope].breaker

    def pictures(self) -> dict[str, tuple[object, ...]]:
        """All that the breakers know, but for who holds a lease."""
        now = self.replica.clock()
        self.replica.admission.look(now)
        return {
            scope: (
                breaker._state,
                breaker._generation,
                breaker._until,
                tuple(breaker._streak),
                breaker._successes,
                breaker._relapses,
                breaker._refusals,
                breaker.window.tally(now),
            )
            for scope in self.known()
            for breaker in (self.breaker(scope),)
        }

    def take(self, index: int) -> Attempt:
        """One of those that are under way."""
        return self.under_way.pop(index % len(self.under_way))

    def scopes_of(self, attempt: Attempt) -> list[str]:
        """Its provider and its model."""
        return [attempt.permits.provider, attempt.candidate]

    def waits(self, attempt: Attempt) -> dict[str, float]:
        """The other candidates that may not be asked now, and for how long."""
        refusals = {other: self.replica.refusal(other) for other in CANDIDATES if other != attempt.candidate}
        return {other: refusal.wait for other, refusal in refusals.items() if refusal is not None}

    def check_generations(self, attempt: Attempt, before: dict[str, tuple[object, ...]]) -> None:
        """8: a late result of an older generation changes nothing."""
        after = self.pictures()
        for scope in self.scopes_of(attempt):
            permit = attempt.of(scope)
            if permit is not None and permit.generation != before[scope][1]:
                assert after[scope] == before[scope], "property 8: a late result changed a breaker"

    def holds_lease(self, attempt: Attempt, scope: str, now: float) -> bool:
        """Whether it is the probe of a scope, of its present generation, and in time."""
        permit = attempt.of(scope)
        is_probe = permit is not None and permit.is_probe and permit.generation == self.breaker(scope)._generation
        return is_probe and now < attempt.lease_until


def _name(place: Scope) -> str:
    return f"{place[0]}/{place[1]}"


TestScopes = Scopes.TestCase
TestScopes.settings = settings(stateful_step_count=40, max_examples=max(settings.default.max_examples, 300))
