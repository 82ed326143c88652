"""Which models to recommend for a purpose, in which order, and why. Pure.

What is asked for in words comes first, then what the catalogues call the first choice, then quality, price and speed.
"""

import re
from collections.abc import Sequence

from imagegate.router.offers import (
    Offered,
    cost_of_one,
    in_the_way,
    level,
    limits_of,
    nobody_does,
    price_told,
    quality_told,
    slowest,
    time_told,
)
from imagegate.router.ranking import Prospect
from imagegate.runtime.models import TASKS, Model
from imagegate.runtime.pricing import price
from imagegate.runtime.redaction import clip
from imagegate.v1 import catalog_pb2

DEFAULT_LIMIT = 5
USE_CASE_BYTES = 256
# What `recommended_for` means to people.
CHOICES = {
    "primary": "the first recommendation for finished work",
    "budget": "the recommendation for a small budget",
    "artistic": "the recommendation for artistic work",
}
# Words that tell no purpose from another.
FILLERS = frozenset({
    "a", "an", "and", "as", "at", "be", "by", "for", "from", "good", "i", "image", "images", "in", "it", "make", "me",
    "my", "need", "of", "on", "or", "picture", "pictures", "some", "something", "that", "the", "this", "to", "use",
    "want", "with",
})  # fmt: skip
# Words that are shorter must be the same, others may be the beginning of a longer one.
SHORTEST_BEGINNING = 3


def recommend(
    request: catalog_pb2.RecommendModelsRequest, offered: Sequence[Offered]
) -> catalog_pb2.RecommendModelsResponse:
    """The best of what is `offered`, best first. The request must be valid (`offers.violations`)."""
    task = TASKS[request.task or catalog_pb2.TASK_TEXT_TO_IMAGE]
    limits = limits_of(request)
    with_task = [each for each in offered if task in each.model.tasks]
    able = [each for each in with_task if not each.is_off]
    fitting = [each for each in able if all(limit.allows(each.model) for limit in limits)]
    if not fitting:
        message = in_the_way(limits, able) if able else nobody_does(task, with_task)
        return catalog_pb2.RecommendModelsResponse(message=message)
    wanted = [word for word in dict.fromkeys(_words(request.use_case)) if word not in FILLERS]
    ranked = sorted(fitting, key=lambda each: _rank(each.model, wanted, on_a_budget=request.HasField("max_credits")))
    best = ranked[: request.limit or DEFAULT_LIMIT]
    return catalog_pb2.RecommendModelsResponse(recommendations=[_recommendation(each, wanted) for each in best])


def _rank(model: Model, wanted: Sequence[str], *, on_a_budget: bool) -> tuple[float, ...]:
    """Its place among those that fit: the smallest comes first."""
    standing = {"primary": 0, "budget": 1 if on_a_budget else 2}
    return (
        not _matched(wanted, model.recommended_for),
        -len(_matched(wanted, _purpose(model))),
        standing.get(model.recommended_for, 2),
        -level(model),
        cost_of_one(model),
        slowest(model),
    )


def _recommendation(offered: Offered, wanted: Sequence[str]) -> catalog_pb2.Recommendation:
    model, prospect = offered.model, offered.prospect
    return catalog_pb2.Recommendation(
        model=model.to_proto(),
        why=f"{_praise(model, wanted)}: {quality_told(model)}, {price_told(model)}, {time_told(model)}{_now(prospect)}",
        cost=price(model, {}, 1),
        available=prospect.obstacle is None and not prospect.trickles,
    )


def _praise(model: Model, wanted: Sequence[str]) -> str:
    told = _matched(wanted, model.recommended_for)  # by the choice itself
    matched = [word for word in _matched(wanted, _purpose(model)) if word not in told]
    praise = [CHOICES[model.recommended_for]] if model.recommended_for else []
    praise += [f"it is said to be good for “{', '.join(matched)}”"] if matched else []
    return ", and ".join(praise) or clip(model.use_case or model.display_name, USE_CASE_BYTES)


def _now(prospect: Prospect) -> str:
    """What speaks against it at the moment."""
    if prospect.trickles:
        return "; not now: its breaker is open, and only one request a second finds out whether it works again"
    if prospect.obstacle is not None:
        message = f" ({prospect.obstacle.message})" if prospect.obstacle.message else ""
        return f"; not now: {prospect.obstacle.reason}{message}"
    return f"; it stands further back now: {prospect.back_for}" if prospect.back_for else ""


def _matched(wanted: Sequence[str], purpose: str) -> list[str]:
    """The words that are wanted and that a purpose has, each as a whole or as a beginning."""
    has = _words(purpose)
    return [word for word in wanted if any(_is_meant(word, own) for own in has)]


def _is_meant(word: str, own: str) -> bool:
    stem = word.removesuffix("s")
    return own == word or (len(stem) >= SHORTEST_BEGINNING and own.startswith(stem))


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _purpose(model: Model) -> str:
    return f"{model.use_case} {model.display_name} {model.recommended_for}"
