"""How web backends are told what went wrong. Pure.

That nobody delivered is 503 here, whatever kept each of the providers from it: a 429 or 404 would be about the caller.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from imagegate.client.result import Attempt
from imagegate.edge.backend.answered import ErrorAnswer, FailedItem, FieldShape, UnkeptShape
from imagegate.edge.backend.naming import shown_field, shown_provider
from imagegate.edge.backend.record import AttemptShape
from imagegate.edge.problem import Problem
from imagegate.runtime.errors import Reason

FAILED = "Image generation failed"
# What of a problem with attempts is the providers' doing, besides a list of nobody but those that are switched off.
PROVIDERS_DOING = {404, 429, 503, 504}
TITLES = {400: "Invalid request", 401: "Not authenticated", 403: "Not allowed", 404: "Not found"}
HIGHER_TIER = "a model of your key's tier, or ask for a key of a higher one"


@dataclass(frozen=True, slots=True)
class Told:
    """An error as it goes out; `retry_after` is in whole seconds."""

    status: int
    answer: ErrorAnswer
    retry_after: int | None


def told(problem: Problem, request_id: str) -> Told:
    """`problem` in the guide's words."""
    status, title, message = _in_short(problem)
    retry_after = problem.retry_after
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        retry_after = retry_after or 1
    answer = ErrorAnswer(
        error=title,
        message=message,
        reason=problem.reason,
        request_id=request_id,
        fields=[FieldShape(field=shown_field(each.field), message=each.description) for each in problem.violations]
        or None,
        attempts=[_shown(attempt) for attempt in problem.attempts] or None,
        retry_after=retry_after,
        images=[UnkeptShape.model_validate(each) for each in problem.shown_images()] or None,
    )
    return Told(status, answer, retry_after)


def failed_item(index: int, problem: Problem, request_id: str) -> FailedItem:
    """`problem` as what became of one picture of a batch."""
    by_itself = told(problem, request_id)
    return FailedItem(index=index, status=by_itself.status, **dict(by_itself.answer))


def _in_short(problem: Problem) -> tuple[int, str, str]:
    """The status, what kind of error it is, and a sentence with the remedy."""
    if _is_above_the_tier(problem):
        listed = "; ".join(_words(attempt) for attempt in problem.attempts)
        return 403, TITLES[403], f"No model may be used that was asked for: {listed}. Try: {HIGHER_TIER}"
    if _is_the_providers_doing(problem):
        last = next((each for each in reversed(problem.attempts) if not each.skipped), problem.attempts[-1])
        remedies = "; ".join(_remedies(problem.attempts)) or "again later"
        return 503, FAILED, f"{FAILED} with all providers. Last error: {_words(last)}. Try: {remedies}"
    if problem.violations and not problem.attempts:
        listed = "; ".join(f"{shown_field(each.field)}: {each.description}" for each in problem.violations)
        return problem.status, TITLES[400], f"The request is not valid: {listed}"
    return problem.status, FAILED if problem.attempts else _title(problem.status), problem.detail


def _is_above_the_tier(problem: Problem) -> bool:
    """Whether nobody was asked, and a higher tier would have helped."""
    reasons = {attempt.reason for attempt in problem.attempts}
    return problem.status == 400 and _all_skipped(problem) and Reason.NOT_ALLOWED in reasons


def _is_the_providers_doing(problem: Problem) -> bool:
    if not problem.attempts:
        return False
    all_off = _all_skipped(problem) and {attempt.reason for attempt in problem.attempts} == {Reason.DISABLED}
    return problem.status in PROVIDERS_DOING or all_off


def _all_skipped(problem: Problem) -> bool:
    return bool(problem.attempts) and all(attempt.skipped for attempt in problem.attempts)


def _words(attempt: Attempt) -> str:
    """One attempt in a sentence, with the upstream's own words."""
    who = f"{shown_provider(attempt.provider)}/{attempt.model}"
    said = f" ({attempt.upstream_status} {attempt.upstream_message[:200]!r})" if attempt.upstream_message else ""
    return f"{who} {attempt.reason}: {attempt.message}{said}"


def _remedies(attempts: Sequence[Attempt]) -> list[str]:
    return list(dict.fromkeys(attempt.remedy for attempt in attempts if attempt.remedy))


def _shown(attempt: Attempt) -> AttemptShape:
    """The attempt; what a request could say about tiers is not for a caller who has one by their key."""
    shown = AttemptShape.of(attempt)
    return shown.model_copy(update={"remedy": HIGHER_TIER}) if attempt.reason == Reason.NOT_ALLOWED else shown


def _title(status: int) -> str:
    if status in TITLES:
        return TITLES[status]
    try:
        return HTTPStatus(status).phrase
    except ValueError:  # 499 has no name in Python's table
        return "Cancelled"
