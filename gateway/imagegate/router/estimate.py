"""What a request costs, whoever delivers. Pure.

The estimate is a ceiling over the fallbacks: those that are merely held back count as well, since they may come back.
"""

from collections.abc import Sequence

from imagegate.router import answer
from imagegate.router.course import Passed
from imagegate.router.ranking import Entry
from imagegate.router.routes import Candidate
from imagegate.runtime.fitting import fit
from imagegate.runtime.pricing import price
from imagegate.runtime.tasks import count_of
from imagegate.v1 import catalog_pb2, generation_pb2


def cost_of(candidate: Candidate, request: generation_pb2.GenerateRequest) -> int | None:
    """The credits for all pictures of the request, if the candidate delivers them; None where nobody knows."""
    if candidate.model is None:
        return None
    if candidate.model.priced_by == "picture":
        return price(candidate.model, {}, count_of(request))
    fitted = fit(request, candidate.model, drawn_seed=0)  # a seed costs nothing
    return price(candidate.model, fitted.parameters, count_of(request))


def estimate_of(
    request: generation_pb2.GenerateRequest, entries: Sequence[Entry], now: float
) -> catalog_pb2.CostEstimate:
    """What the request costs at least and at most, at those of its `entries` that nothing keeps it from for good.

    `now` is the monotonic clock. Raises the Failure of `Generate` where there is none.
    """
    costs = [_at(entry.candidate, request) for entry in entries if entry.obstacle is None]
    if not costs:
        record = [Passed(entry.candidate, entry.obstacle, now) for entry in entries if entry.obstacle is not None]
        raise answer.exhausted(record, now)
    known = [cost.credits for cost in costs if cost.HasField("credits")]
    return catalog_pb2.CostEstimate(
        low=min(known, default=None),
        high=max(known) if len(known) == len(costs) else None,
        certainty=max(cost.certainty for cost in costs),  # their numbers rise as they get less sure
        candidates=costs,
    )


def _at(candidate: Candidate, request: generation_pb2.GenerateRequest) -> catalog_pb2.CandidateCost:
    credits_ = cost_of(candidate, request)
    return catalog_pb2.CandidateCost(
        provider=candidate.provider, model=candidate.key, credits=credits_, certainty=_certainty(candidate, credits_)
    )


def _certainty(candidate: Candidate, credits_: int | None) -> "catalog_pb2.Certainty.ValueType":
    if credits_ is None or candidate.model is None:
        return catalog_pb2.CERTAINTY_UNKNOWN
    if credits_ and candidate.model.priced_by == "megapixel":
        return catalog_pb2.CERTAINTY_PUBLISHED
    return catalog_pb2.CERTAINTY_EXACT
