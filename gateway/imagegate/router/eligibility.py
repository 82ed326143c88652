"""Which candidates a request may use at all: whom it allows, what must not change for them, what it may cost. Pure.

What is merely held back for a while is not looked at here (`admission`).
"""

from collections.abc import Sequence
from dataclasses import replace

from imagegate.router.estimate import cost_of
from imagegate.router.ranking import Entry, Obstacle
from imagegate.router.routes import Candidate
from imagegate.runtime.errors import Reason
from imagegate.runtime.fitting import fit, forbidden, lack
from imagegate.runtime.models import TIERS, Model
from imagegate.runtime.tasks import inability
from imagegate.v1 import generation_pb2

# Of the routes that can do what others cannot so many are named.
NAMED_ROUTES = 3


def is_within(model: Model, tier: str) -> bool:
    """Whether a caller of this tier may use the model: each tier may use those below it, too."""
    return TIERS.index(model.tier) <= TIERS.index(tier)


def tier_within(asked: str, own: str) -> str:
    """The tier that is `asked` for, no dearer than the caller's `own`; empty is no limit for either."""
    return min((tier for tier in (asked, own) if tier), key=TIERS.index, default="")


def within_tier(request: generation_pb2.GenerateRequest, tier: str) -> generation_pb2.GenerateRequest:
    """The request, which is valid, with a tier no dearer than its caller's (empty: no limit)."""
    if not tier:
        return request
    allowed = tier_within(request.routing.tier, tier)
    if allowed == request.routing.tier:
        return request
    bounded = generation_pb2.GenerateRequest()
    bounded.CopyFrom(request)
    bounded.routing.tier = allowed
    return bounded


def not_allowed(candidate: Candidate, request: generation_pb2.GenerateRequest) -> Obstacle | None:
    """What in the request's routing keeps it from the candidate; None where it is allowed."""
    routing = request.routing
    if candidate.provider in routing.deny_providers or (
        routing.allow_providers and candidate.provider not in routing.allow_providers
    ):
        return Obstacle(Reason.NOT_ALLOWED, "the request's routing excludes it")
    if not routing.tier:
        return None
    limit = f"the request allows no tier above {routing.tier}"
    # All upstream ids outside a catalogue share one entry, whose tier was said of none of them.
    if candidate.model is None or not candidate.listed:
        remedy = "leave routing.tier out, or give the model an entry in its provider's catalogue"
        return Obstacle(Reason.NOT_ALLOWED, f"nobody knows its tier, and {limit}", remedy)
    if not is_within(candidate.model, routing.tier):
        tier = candidate.model.tier
        return Obstacle(Reason.NOT_ALLOWED, f"its tier is {tier}, and {limit}", f"ask with routing.tier {tier}")
    return None


def unsupported(candidate: Candidate, request: generation_pb2.GenerateRequest) -> Obstacle | None:
    """Whether the model cannot do it, or would need a change that the request forbids; an unknown one may try."""
    if candidate.model is None:
        return None
    fitted = fit(request, candidate.model, drawn_seed=0)
    if why := inability(request, candidate.model) or lack(request, candidate.model, fitted):
        return Obstacle(Reason.UNSUPPORTED, why)
    refused = forbidden(request, fitted.adjustments)
    return Obstacle(Reason.UNSUPPORTED, f"it cannot take {', '.join(refused)} as asked") if refused else None


def too_expensive(candidate: Candidate, request: generation_pb2.GenerateRequest) -> Obstacle | None:
    """Whether the request would cost more than it may; a price that nobody knows does."""
    if not request.routing.HasField("max_credits"):
        return None
    limit = f"the request allows {_credits(request.routing.max_credits)}"
    cost = cost_of(candidate, request)
    if cost is None:
        remedy = "leave routing.max_credits out, or give the model a price in its provider's catalogue"
        return Obstacle(Reason.TOO_EXPENSIVE, f"nobody knows its price, and {limit}", remedy)
    if cost > request.routing.max_credits:
        remedy = f"set routing.max_credits to {cost}, or ask for less"
        return Obstacle(Reason.TOO_EXPENSIVE, f"it costs {_credits(cost)}, and {limit}", remedy)
    return None


def need_advice(entries: Sequence[Entry]) -> bool:
    """Whether a request can use none of its candidates, and some because they cannot do what it wants."""
    reasons = {entry.obstacle.reason if entry.obstacle is not None else None for entry in entries}
    return None not in reasons and Reason.UNSUPPORTED in reasons


def advised(entries: Sequence[Entry], routes: Sequence[str]) -> list[Entry]:
    """The entries; those that cannot do what a request wants name `routes`, which have somebody who can."""
    remedy = f"ask for model {' or '.join(routes[:NAMED_ROUTES])}" if routes else ""
    return [
        replace(entry, obstacle=replace(entry.obstacle, remedy=entry.obstacle.remedy or remedy))
        if entry.obstacle is not None and entry.obstacle.reason is Reason.UNSUPPORTED
        else entry
        for entry in entries
    ]


def _credits(number: int) -> str:
    return f"{number:,} credit{'' if number == 1 else 's'}"
