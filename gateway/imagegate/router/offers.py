"""What there is to choose from, and which of it keeps the limits of whoever asks for a recommendation. Pure."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from imagegate.router.eligibility import is_within
from imagegate.router.ranking import Prospect
from imagegate.runtime.errors import Reason, Violation
from imagegate.runtime.models import TASKS, TIERS, Model
from imagegate.runtime.parameters import shortest
from imagegate.runtime.pricing import price
from imagegate.runtime.redaction import clip
from imagegate.v1 import catalog_pb2, terms_pb2

MAX_LIMIT = 50
MAX_USE_CASE_CHARACTERS = 256
# Rising.
QUALITIES = ("unspecified", "sd", "hd", "ultra", "premium")
# So many models that are off are named where there are no others.
NAMED = 3


@dataclass(frozen=True, slots=True)
class Offered:
    """A model, and what would become of it now if it were asked for alone."""

    model: Model
    prospect: Prospect

    def __str__(self) -> str:
        return f"{self.model.provider}/{self.model.key}"

    @property
    def is_off(self) -> bool:
        """Whether it, or its provider, is switched off."""
        return self.prospect.obstacle is not None and self.prospect.obstacle.reason is Reason.DISABLED


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit of a request, as it is told. `nearness` orders those that it keeps out, the nearest first; `fact` tells
    what it looks at.
    """

    told: str
    allows: Callable[[Model], bool]
    nearness: Callable[[Model], float]
    fact: Callable[[Model], str]


def violations(request: catalog_pb2.RecommendModelsRequest) -> list[Violation]:
    """Every bad field of the request; empty where it is valid."""
    found = []
    if request.task not in catalog_pb2.Task.values():
        found.append(Violation("task", f"takes {', '.join(task.upper() for task in TASKS.values())}"))
    if request.max_credits < 0:
        found.append(Violation("max_credits", "is below 0"))
    if request.HasField("max_seconds") and not 0 < request.max_seconds < math.inf:
        found.append(Violation("max_seconds", f"is {request.max_seconds:g}; allowed is more than 0"))
    if request.min_quality not in terms_pb2.Quality.values():
        found.append(Violation("min_quality", "takes SD, HD, ULTRA or PREMIUM"))
    if len(request.use_case) > MAX_USE_CASE_CHARACTERS:
        found.append(Violation("use_case", f"is longer than {MAX_USE_CASE_CHARACTERS} characters"))
    if request.tier not in ("", *TIERS):
        found.append(Violation("tier", f"takes {', '.join(TIERS)}, or nothing for no limit"))
    if request.HasField("limit") and not 1 <= request.limit <= MAX_LIMIT:
        found.append(Violation("limit", f"is {request.limit}; allowed is 1 to {MAX_LIMIT}"))
    return found


def limits_of(request: catalog_pb2.RecommendModelsRequest) -> list[Limit]:
    """The limits of a valid request."""
    limits = []
    if request.HasField("max_credits"):
        most = request.max_credits
        limits.append(Limit(f"max_credits {most}", lambda model: cost_of_one(model) <= most, cost_of_one, price_told))
    if request.HasField("max_seconds"):
        seconds = shortest(request.max_seconds)
        limits.append(Limit(f"max_seconds {seconds:g}", lambda model: slowest(model) <= seconds, slowest, time_told))
    if request.min_quality:
        quality = terms_pb2.Quality.Name(request.min_quality).removeprefix("QUALITY_")
        least = QUALITIES.index(quality.lower())
        limits.append(
            Limit(f"min_quality {quality}", lambda model: level(model) >= least, lambda m: -level(m), quality_told)
        )
    if request.tier:
        tier = request.tier
        limits.append(
            Limit(
                f"tier {tier}",
                lambda model: is_within(model, tier),
                lambda model: TIERS.index(model.tier),
                lambda model: f"tier {model.tier}",
            )
        )
    return limits


def in_the_way(limits: Sequence[Limit], able: Sequence[Offered]) -> str:
    """Which limit keeps out all that are `able`, and who would fit without it."""
    found = []
    for limit in limits:
        others = [other for other in limits if other is not limit]
        would_fit = [each for each in able if all(other.allows(each.model) for other in others)]
        by_nearness = sorted((limit.nearness(each.model), place) for place, each in enumerate(would_fit))
        if by_nearness:
            nearest = would_fit[by_nearness[0][1]]
            found.append(f"{limit.told} is in the way: the nearest is {nearest} ({limit.fact(nearest.model)})")
    return "; ".join(found) or f"no model keeps {' and '.join(limit.told for limit in limits)} at once"


def nobody_does(task: str, off: Sequence[Offered]) -> str:
    """Why nobody does a task at all: those that could are `off`."""
    if not off:
        return f"no model that is known here does {task.upper()}"
    named = [f"{each} ({clip(each.prospect.obstacle.message, 128)})" for each in off[:NAMED] if each.prospect.obstacle]
    more = f" and {len(off) - NAMED} more" if len(off) > NAMED else ""
    return f"every model that does {task.upper()} is off: {', '.join(named)}{more}"


# ── Facts of a model ─────────────────────────────────────────────────────────────────────────────────────────────────


def cost_of_one(model: Model) -> float:
    """The credits for one picture of the usual size; infinitely many where nobody knows."""
    cost = price(model, {}, 1)
    return math.inf if cost is None else cost


def slowest(model: Model) -> float:
    """The upper end of its usual time, in seconds."""
    return model.typical_seconds[1]


def level(model: Model) -> int:
    """Its level of quality; 0 where it is not stated."""
    return QUALITIES.index(model.quality)


def price_told(model: Model) -> str:
    """Its price in words."""
    cost = price(model, {}, 1)
    if cost is None:
        return "at a price that nobody knows"
    return f"{cost:,} credit{'' if cost == 1 else 's'}" if cost else "free"


def time_told(model: Model) -> str:
    """Its usual time in words."""
    low, high = model.typical_seconds
    return f"{low:g} to {high:g} s" if low < high else f"{high:g} s"


def quality_told(model: Model) -> str:
    """Its quality in words."""
    return f"{model.quality} quality" if level(model) else "quality not stated"
