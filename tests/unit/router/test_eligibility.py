"""Which candidates a request may use at all."""

from dataclasses import replace

import pytest

from imagegate.router.eligibility import advised, need_advice, not_allowed, tier_within, too_expensive, unsupported
from imagegate.router.ranking import Entry, Obstacle
from imagegate.router.routes import Candidate
from imagegate.runtime.errors import Reason
from imagegate.runtime.models import TIERS, Model
from imagegate.v1 import generation_pb2

Request = generation_pb2.GenerateRequest
SIDES = {name: {"minimum": 256, "maximum": 2048, "default": 1024} for name in ("width", "height")}
UNREAD = Candidate("a", "m")


def candidate(**fields: object) -> Candidate:
    model = Model.model_validate({"provider": "a", "key": "m", "display_name": "m", "upstream_model": "m", **fields})
    return Candidate("a", "m", model)


def asking(**routing: object) -> Request:
    return Request(prompt="a fox", routing=generation_pb2.Routing(**routing))  # type: ignore[arg-type]


def reason(obstacle: Obstacle | None) -> Reason | None:
    return obstacle.reason if obstacle else None


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("limit", TIERS)
def test_a_tier_may_use_those_below_it(tier: str, limit: str) -> None:
    """P12: a model of a higher tier than the caller's is NOT_ALLOWED, and the message names both."""
    obstacle = not_allowed(candidate(tier=tier), asking(tier=limit))
    is_above = TIERS.index(tier) > TIERS.index(limit)
    assert reason(obstacle) is (Reason.NOT_ALLOWED if is_above else None)
    if obstacle is not None:
        assert obstacle.message == f"its tier is {tier}, and the request allows no tier above {limit}"
        assert tier in obstacle.remedy


@pytest.mark.parametrize(
    ("asked", "own", "tier"),
    [
        ("", "", ""),
        ("pro", "", "pro"),
        ("", "basic", "basic"),
        ("pro", "basic", "basic"),
        ("free", "basic", "free"),
    ],
)
def test_nobody_gets_above_their_own_tier(asked: str, own: str, tier: str) -> None:
    """P12: the tier that counts is the lower one of what is asked for and what the caller has."""
    assert tier_within(asked, own) == tier


def test_a_tier_that_nobody_knows_is_not_allowed() -> None:
    """P12: neither a model whose catalogue was not read nor one outside it can be used under a tier's limit."""
    outside = replace(candidate(tier="free"), listed=False)
    for unknown in (UNREAD, outside):
        obstacle = not_allowed(unknown, asking(tier="enterprise"))
        assert obstacle is not None
        assert (obstacle.reason, "nobody knows its tier" in obstacle.message) == (Reason.NOT_ALLOWED, True)
        assert not_allowed(unknown, asking()) is None


def test_a_price_above_the_limit_is_too_expensive() -> None:
    """P8: the message names the price for all pictures and the limit, the remedy what would do."""
    request = asking(max_credits=30)
    request.count = 2
    obstacle = too_expensive(candidate(credits=25), request)
    assert obstacle == Obstacle(
        Reason.TOO_EXPENSIVE,
        "it costs 50 credits, and the request allows 30 credits",
        "set routing.max_credits to 50, or ask for less",
    )
    request.count = 1
    assert too_expensive(candidate(credits=25), request) is None
    assert too_expensive(candidate(credits=30), request) is None


def test_the_size_that_is_sent_counts() -> None:
    """P8: priced by megapixel, the same model fits a small picture and not a large one; clamped is what is sent."""
    by_size = candidate(credits=10, priced_by="megapixel", parameters=SIDES)
    request = asking(max_credits=20)
    assert too_expensive(by_size, request) is None
    request.width = 2048
    assert too_expensive(by_size, request) is None
    request.height = 4096  # fitted to 1024 x 2048, which keeps its shape
    assert too_expensive(by_size, request) is None
    request.width = 4096
    assert "it costs 40 credits" in (too_expensive(by_size, request) or Obstacle(Reason.INTERNAL)).message


@pytest.mark.parametrize("unknown", [candidate(), candidate(credits=5, priced_by="megapixel"), UNREAD])
def test_a_price_that_nobody_knows_is_too_expensive(unknown: Candidate) -> None:
    """P8: an unknown price keeps no limit, however generous, and is no obstacle where there is none."""
    obstacle = too_expensive(unknown, asking(max_credits=2**31 - 1))
    assert obstacle is not None
    assert (obstacle.reason, "nobody knows its price" in obstacle.message) == (Reason.TOO_EXPENSIVE, True)
    assert obstacle.remedy
    assert too_expensive(unknown, asking()) is None


def test_no_credits_at_all_buy_what_is_free() -> None:
    """P8: a limit of 0 is a limit, and free models keep it."""
    assert too_expensive(candidate(credits=0), asking(max_credits=0)) is None
    assert reason(too_expensive(candidate(credits=1), asking(max_credits=0))) is Reason.TOO_EXPENSIVE


def test_a_change_that_is_forbidden_is_unsupported() -> None:
    """R1: must_keep makes a change a reason to pass the model over; an unknown model is let through."""
    request = Request(prompt="a fox", width=4096, must_keep=["width"])
    obstacle = unsupported(candidate(parameters=SIDES), request)
    assert obstacle == Obstacle(Reason.UNSUPPORTED, "it cannot take width as asked")
    assert unsupported(UNREAD, request) is None


def test_a_sampler_that_the_model_lacks_is_unsupported() -> None:
    """U3, R1: the message names the three nearest; a known one is taken in any words, whatever is forbidden."""
    known = {
        "samplers": [{"name": "Euler a"}, {"name": "LMS"}, {"name": "DPM++ 2M"}],
        "schedulers": [{"name": "karras"}],
    }
    webui = candidate(parameters={"sampler": {}}, samplers=known)
    obstacle = unsupported(webui, Request(prompt="a fox", sampler="Euler b"))
    message = "it has no sampler 'Euler b' (the nearest: Euler a, LMS, DPM++ 2M)"
    assert obstacle == Obstacle(Reason.UNSUPPORTED, message)
    refuse = generation_pb2.ON_UNSUPPORTED_REFUSE
    for sampler in ("", "lms", "DPM++ 2M Karras"):
        assert unsupported(webui, Request(prompt="a fox", sampler=sampler, on_unsupported=refuse)) is None
    assert unsupported(candidate(parameters={"sampler": {}}), Request(prompt="a fox", sampler="Euler b")) is None


def test_the_lists_of_providers_come_first() -> None:
    """A provider that the request excludes is NOT_ALLOWED whatever its tier."""
    for routing in ({"deny_providers": ["a"]}, {"allow_providers": ["b"]}):
        obstacle = not_allowed(candidate(), asking(tier="pro", **routing))
        assert obstacle == Obstacle(Reason.NOT_ALLOWED, "the request's routing excludes it")


def test_who_can_do_it_is_named_where_nobody_can() -> None:
    """P3: advice goes to those who cannot do it, where no candidate is left, and names at most three routes."""
    cannot, off = (
        Entry(UNREAD, Obstacle(Reason.UNSUPPORTED, "it cannot")),
        Entry(UNREAD, Obstacle(Reason.DISABLED, "off", "on")),
    )
    assert need_advice([cannot, off])
    assert not need_advice([off])
    assert not need_advice([cannot, Entry(UNREAD)])
    assert not need_advice([])
    told = [entry.obstacle.remedy for entry in advised([cannot, off], list("abcd")) if entry.obstacle is not None]
    assert told == ["ask for model a or b or c", "on"]
    assert advised([cannot], []) == [cannot]
