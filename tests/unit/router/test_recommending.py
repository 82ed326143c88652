"""Which models are recommended for a purpose, in which order, and why."""

import math

import pytest

from imagegate.router import offers
from imagegate.router.offers import Offered
from imagegate.router.ranking import Entry, Obstacle
from imagegate.router.recommending import recommend
from imagegate.router.routes import Candidate
from imagegate.runtime.errors import Reason
from imagegate.runtime.models import Model
from imagegate.testing import FakeReplica
from imagegate.v1 import catalog_pb2, terms_pb2

Request = catalog_pb2.RecommendModelsRequest

# What the documents name, without what plays no part here.
CATALOGUE = {
    "huggingface/flux-dev": ("basic", 8, "hd", (30, 60), "", "best quality; may need a key of a PRO account"),
    "huggingface/flux-schnell": ("free", 3, "hd", (3, 15), "", "fast drafts and prototypes"),
    "huggingface/sd15": ("free", 3, "sd", (10, 30), "", "small pictures on a budget"),
    "fal/flux-pro": ("pro", 50, "ultra", (8, 15), "primary", "best quality; the first recommendation"),
    "fal/flux-dev": ("basic", 25, "hd", (3, 10), "", "high quality at a moderate price"),
    "fal/flux-schnell": ("free", 5, "hd", (3, 10), "", "fast drafts and prototypes"),
    "fal/stable-cascade": ("basic", 25, "hd", (7, 14), "budget", "good pictures on a budget"),
    "fal/aura-flow": ("basic", 30, "hd", (10, 20), "artistic", "artistic pictures that follow long prompts"),
    "automatic1111/local": ("free", 0, "sd", (5, 12), "", "pictures that cost nothing"),
}


def model(name: str, **changes: object) -> Model:
    tier, credits_, quality, seconds, recommended_for, use_case = CATALOGUE.get(name, CATALOGUE["fal/flux-dev"])
    provider, key = name.split("/")
    fields = {
        "provider": provider,
        "key": key,
        "display_name": key,
        "upstream_model": f"upstream/{key}",
        "tier": tier,
        "credits": credits_,
        "quality": quality,
        "typical_seconds": seconds,
        "recommended_for": recommended_for,
        "use_case": use_case,
    }
    return Model.model_validate({**fields, **changes})


def offered(*models: Model, replica: FakeReplica | None = None) -> list[Offered]:
    """Each of these as it would fare now, alone; all of the documents where none is named."""
    replica = replica or FakeReplica()
    found = []
    for each in models or tuple(map(model, CATALOGUE)):
        off = None if each.enabled else Obstacle(Reason.DISABLED, each.disabled_reason)
        lineup = replica.line_up(Entry(Candidate(each.provider, each.key, each), off), remaining=None)
        found += [Offered(each, prospect) for prospect in (*lineup.turns, *lineup.passed)]
    return found


def names(answer: catalog_pb2.RecommendModelsResponse) -> list[str]:
    return [f"{each.model.provider}/{each.model.key}" for each in answer.recommendations]


# ── Who comes first ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("request_", "first"),
    [
        (Request(), "fal/flux-pro"),
        (Request(tier="pro"), "fal/flux-pro"),
        (Request(max_seconds=15), "fal/flux-pro"),
        (Request(max_credits=50), "fal/flux-pro"),
        (Request(max_credits=30), "fal/stable-cascade"),
        (Request(max_credits=49, max_seconds=14), "fal/stable-cascade"),
        (Request(use_case="budget"), "fal/stable-cascade"),
        (Request(use_case="artistic"), "fal/aura-flow"),
        (Request(use_case="I want something Artistic!", max_credits=30), "fal/aura-flow"),
        (Request(use_case="art"), "fal/aura-flow"),
    ],
)
def test_the_documents_recommendations_come_first_where_they_apply(request_: Request, first: str) -> None:
    """P8: flux-pro without a budget that forbids it, stable-cascade on a budget, aura-flow for artistic work."""
    assert names(recommend(request_, offered()))[0] == first


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (Request(tier="free"), ["huggingface/flux-schnell", "fal/flux-schnell", "automatic1111/local"]),
        (Request(max_credits=5), ["huggingface/flux-schnell", "fal/flux-schnell", "automatic1111/local"]),
        (Request(max_credits=0), ["automatic1111/local"]),
        (Request(max_credits=30, max_seconds=10), ["fal/flux-schnell", "fal/flux-dev"]),
        (Request(min_quality=terms_pb2.QUALITY_ULTRA), ["fal/flux-pro"]),
        (
            Request(min_quality=terms_pb2.QUALITY_HD, tier="basic", max_credits=8),
            ["huggingface/flux-schnell", "fal/flux-schnell", "huggingface/flux-dev"],
        ),
        (Request(use_case="fast drafts"), ["huggingface/flux-schnell", "fal/flux-schnell", "fal/flux-pro"]),
        (Request(use_case="a prototype"), ["huggingface/flux-schnell", "fal/flux-schnell", "fal/flux-pro"]),
    ],
)
def test_limits_keep_out_and_the_rest_is_ranked(request_: Request, expected: list[str]) -> None:
    """P8: what a limit excludes is not named; quality comes before price, price before speed."""
    without = [model(name) for name in CATALOGUE if name != "huggingface/sd15"]
    assert names(recommend(request_, offered(*without)))[:3] == expected


def test_the_more_of_what_is_asked_for_the_better() -> None:
    """P8: models that are good for more of the words come first, whatever their price and quality."""
    answer = recommend(Request(use_case="long prompts, best quality"), offered())
    assert names(answer)[:3] == ["fal/flux-pro", "huggingface/flux-dev", "fal/aura-flow"]


def test_equal_models_keep_the_providers_order() -> None:
    """Where nothing tells two models apart the fallback order does."""
    twins = [model(f"{provider}/twin") for provider in ("b", "a", "c")]
    assert names(recommend(Request(), offered(*twins))) == ["b/twin", "a/twin", "c/twin"]


def test_five_are_named_unless_asked_for_more() -> None:
    """The limit is 5 if absent."""
    assert len(names(recommend(Request(), offered()))) == 5
    assert len(names(recommend(Request(limit=1), offered()))) == 1
    assert len(names(recommend(Request(limit=50), offered()))) == len(CATALOGUE)


def test_only_what_does_the_task_and_is_on() -> None:
    """P8: text to image if absent; what is off, or coming soon, is never recommended."""
    pose = model("fal/pose", tasks=("control_openpose",))
    soon = model("fal/soon", tasks=("control_canny",), enabled=False, coming_soon=True, disabled_reason="not yet")
    some = offered(model("fal/flux-dev"), pose, soon)
    assert names(recommend(Request(), some)) == ["fal/flux-dev"]
    assert names(recommend(Request(task=catalog_pb2.TASK_CONTROL_OPENPOSE), some)) == ["fal/pose"]
    canny = recommend(Request(task=catalog_pb2.TASK_CONTROL_CANNY), some)
    assert canny.message == "every model that does CONTROL_CANNY is off: fal/soon (not yet)"
    assert "IDENTITY" in recommend(Request(task=catalog_pb2.TASK_IDENTITY), some).message


def test_an_unknown_price_keeps_no_budget() -> None:
    """P8: what nobody knows is not 0: such a model comes last among its like, without a cost, and fits no budget."""
    unknown, dear = model("b/unknown", credits=None), model("a/dear", credits=99)
    answer = recommend(Request(), offered(unknown, dear))
    assert names(answer) == ["a/dear", "b/unknown"]
    assert not answer.recommendations[1].HasField("cost")
    assert "at a price that nobody knows" in answer.recommendations[1].why
    assert names(recommend(Request(max_credits=100), offered(unknown, dear))) == ["a/dear"]


def test_a_price_by_size_is_that_of_the_usual_size() -> None:
    """P8: priced by megapixel, a picture of the usual size is what a budget is held against."""
    large = model("fal/large", credits=10, priced_by="megapixel", sizes=((2048, 1024),))
    answer = recommend(Request(max_credits=20), offered(large))
    assert answer.recommendations[0].cost == 20
    assert names(recommend(Request(max_credits=19), offered(large))) == []


# ── Why ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (Request(), "the first recommendation for finished work: ultra quality, 50 credits, 8 to 15 s"),
        (Request(max_credits=30), "the recommendation for a small budget: hd quality, 25 credits, 7 to 14 s"),
        (Request(use_case="art"), "the recommendation for artistic work: hd quality, 30 credits, 10 to 20 s"),
        (Request(max_credits=0), "pictures that cost nothing: sd quality, free, 5 to 12 s"),
        (
            Request(use_case="fast draft"),
            "it is said to be good for “fast, draft”: hd quality, 3 credits, 3 to 15 s",
        ),
        (
            Request(use_case="long prompts"),
            "the recommendation for artistic work, and it is said to be good for “long, prompts”: "
            "hd quality, 30 credits, 10 to 20 s",
        ),
    ],
)
def test_why_is_a_sentence_of_facts(request_: Request, why: str) -> None:
    """P8: what it is recommended for, what was asked for, quality, price and time."""
    assert recommend(request_, offered()).recommendations[0].why == why


def test_what_would_not_be_tried_now_says_why() -> None:
    """P8: a model that is held back keeps its place, is not available, and `why` tells the reason."""
    replica = FakeReplica()
    replica.fail("fal/flux-pro", Reason.RATE_LIMITED, retry_after=60.0)
    replica.trip("huggingface/flux-dev")
    some = offered(model("automatic1111/local"), model("huggingface/flux-dev"), model("fal/flux-pro"), replica=replica)
    limited, tripped, well = recommend(Request(), some).recommendations
    assert [limited.available, tripped.available, well.available] == [False, False, True]
    assert limited.why.endswith("; not now: BACKING_OFF (after RATE_LIMITED: its own words)")
    assert "its breaker is open" in tripped.why


def test_what_stands_back_says_so() -> None:
    """A model that has only just come back would be tried, but not in its turn."""
    replica = FakeReplica()
    replica.trip("fal/flux-pro")
    replica.clock.advance(15)
    replica.deliver("fal/flux-pro")
    replica.deliver("fal/flux-pro")
    (only,) = recommend(Request(), offered(model("fal/flux-pro"), replica=replica)).recommendations
    assert only.available
    assert "it stands further back now: it has only just come back" in only.why


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (Request(max_credits=5, min_quality=terms_pb2.QUALITY_ULTRA), "max_credits 5 is in the way"),
        (
            Request(max_seconds=9.5),
            "max_seconds 9.5 is in the way: the nearest is fal/flux-dev (3 to 10 s)",
        ),
        (
            Request(tier="basic", min_quality=terms_pb2.QUALITY_ULTRA),
            "min_quality ULTRA is in the way: the nearest is huggingface/flux-dev (hd quality); "
            "tier basic is in the way: the nearest is fal/flux-pro (tier pro)",
        ),
        (
            Request(max_credits=1, max_seconds=1, tier="free", min_quality=terms_pb2.QUALITY_PREMIUM),
            "no model keeps max_credits 1 and max_seconds 1 and min_quality PREMIUM and tier free at once",
        ),
    ],
)
def test_where_none_fits_it_says_what_is_in_the_way(request_: Request, message: str) -> None:
    """P8: each limit without which somebody would fit is named, with the nearest model; else all of them together."""
    answer = recommend(request_, offered())
    assert not answer.recommendations
    assert message in answer.message


def test_without_any_catalogue_it_says_so() -> None:
    """A router that has read nothing yet knows no model."""
    assert recommend(Request(), []).message == "no model that is known here does TEXT_TO_IMAGE"


# ── What a request may say ───────────────────────────────────────────────────────────────────────────────────────────


def test_every_bad_field_is_told_at_once() -> None:
    """P12: limits, numbers, words and enums are checked together; the bounds themselves are allowed."""
    wrong = Request(
        task=99,  # type: ignore[arg-type]
        max_credits=-1,
        max_seconds=0,
        min_quality=77,  # type: ignore[arg-type]
        use_case="x" * 257,
        tier="gold",
        limit=51,
    )
    found = [violation.field for violation in offers.violations(wrong)]
    assert found == ["task", "max_credits", "max_seconds", "min_quality", "use_case", "tier", "limit"]
    right = Request(max_credits=0, max_seconds=0.1, use_case="x" * 256, tier="enterprise", limit=50)
    assert not offers.violations(right)
    assert not offers.violations(Request())


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -math.inf, -1.0])
def test_seconds_are_a_number(seconds: float) -> None:
    """P12: what is not a finite number above 0 is refused."""
    assert [each.field for each in offers.violations(Request(max_seconds=seconds))] == ["max_seconds"]
    assert [each.field for each in offers.violations(Request(limit=0))] == ["limit"]
