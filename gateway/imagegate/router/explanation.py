"""What `Explain` tells: what would become of a request now. Nothing is asked for, and nothing changes."""

from imagegate.router import answer
from imagegate.router.breaker import State
from imagegate.router.course import MAX_ATTEMPTS, Course, Passed
from imagegate.router.payment import pays_once
from imagegate.router.ranking import Prospect, usual_seconds
from imagegate.router.routes import Resolution
from imagegate.runtime.fitting import fit
from imagegate.runtime.pricing import price
from imagegate.runtime.tasks import count_of
from imagegate.v1 import router_pb2, terms_pb2


def explanation_of(resolution: Resolution, course: Course, now: float) -> router_pb2.Explanation:
    """What would become of the request of `course` at `now` (monotonic seconds)."""
    lineup = course.outlook(now)
    followers = [*lineup.turns[1:], None][: len(lineup.turns)]
    explanation = router_pb2.Explanation(
        resolved_by=resolution.rule,
        candidates=[
            _tried(turn, number, course, following, now)
            for number, (turn, following) in enumerate(zip(lineup.turns, followers, strict=True), start=1)
        ],
    )
    explanation.candidates.extend(_passed(prospect, course, now) for prospect in lineup.passed)
    if not lineup.turns:
        record = [Passed(p.candidate, p.obstacle, now) for p in lineup.passed if p.obstacle is not None]
        failure = answer.exhausted(record, now)
        explanation.reason = failure.reason.to_proto()
        explanation.message = str(failure)
    return explanation


def _tried(turn: Prospect, number: int, course: Course, following: Prospect | None, now: float) -> router_pb2.Prospect:
    told = _candidate(turn, course)
    told.turn = number if number <= MAX_ATTEMPTS else 0
    told.probe = turn.is_trial or _finds_out(turn, course, now)
    told.message = turn.back_for if told.turn else f"{MAX_ATTEMPTS} others are tried before it, which is all there are"
    if turn.warm_for is not None:
        told.message = f"its model is being loaded; {turn.warm_for:.3g} s are waited for first"
    follower = following if number < MAX_ATTEMPTS else None
    told.timeout.FromMilliseconds(round(course.allotted(turn, follower, now) * 1000))
    return told


def _finds_out(turn: Prospect, course: Course, now: float) -> bool:
    """Whether a breaker of the candidate is half open."""
    provider, model = turn.candidate.provider, turn.candidate.key
    return State.HALF_OPEN in (course.admission.state(provider, scope, now) for scope in ("", model))


def _passed(prospect: Prospect, course: Course, now: float) -> router_pb2.Prospect:
    told = _candidate(prospect, course)
    if prospect.obstacle is not None:
        as_attempt = answer.attempts_of([Passed(prospect.candidate, prospect.obstacle, now)], now)[0]
        told.skipped.CopyFrom(as_attempt.skipped)
        told.message, told.remedy = as_attempt.message, as_attempt.remedy
    return told


def _candidate(prospect: Prospect, course: Course) -> router_pb2.Prospect:
    """What is true of a candidate whether it would be tried or not."""
    candidate, request = prospect.candidate, course.request
    once = pays_once(request, candidate.model)
    told = router_pb2.Prospect(
        provider=candidate.provider,
        model=candidate.key,
        payment=terms_pb2.PAYMENT_PAY_ONCE if once else terms_pb2.PAYMENT_AVAILABLE,
    )
    count = count_of(request)
    told.usual.FromMilliseconds(round(usual_seconds(candidate, course.admission, 0.50, count) * 1000))
    if candidate.model is not None:
        told.upstream_model = candidate.model.upstream_model
        fitted = fit(request, candidate.model, drawn_seed=0)  # a drawn seed is no change
        told.adjustments.extend(fitted.told)
        cost = price(candidate.model, fitted.parameters, count)
        if cost is not None:
            told.cost = cost
    return told
