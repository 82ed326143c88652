"""What a request costs, whoever delivers."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from google.rpc import code_pb2
from hypothesis import given
from hypothesis import strategies as st

from imagegate.router import eligibility
from imagegate.router.course import Ended, Try
from imagegate.router.estimate import estimate_of
from imagegate.router.ranking import Entry, Obstacle
from imagegate.router.routes import Candidate
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.fitting import fit
from imagegate.runtime.models import Model
from imagegate.runtime.pricing import price
from imagegate.testing import FakeReplica, failed
from imagegate.v1 import catalog_pb2, generation_pb2

Request = generation_pb2.GenerateRequest
A_FOX = Request(prompt="a fox")
SIDES = {name: {"minimum": 256, "maximum": 2048, "multiple_of": 8, "default": 1024} for name in ("width", "height")}
NOW = 1000.0


def entry(name: str, **fields: object) -> Entry:
    """A candidate of provider a, b, …, with these facts."""
    model = {"provider": name, "key": "m", "display_name": name, "upstream_model": name, "parameters": SIDES, **fields}
    return Entry(Candidate(name, "m", Model.model_validate(model)))


def span(told: catalog_pb2.CostEstimate) -> tuple[int | None, int | None]:
    return (told.low if told.HasField("low") else None, told.high if told.HasField("high") else None)


BY_PICTURE, BY_SIZE = entry("a", credits=3), entry("b", credits=10, priced_by="megapixel")
FREE, UNPRICED = entry("c", credits=0, priced_by="megapixel"), entry("d")
UNREAD = Entry(Candidate("e", "m"))
OFF = replace(entry("f", credits=99), obstacle=Obstacle(Reason.DISABLED, "it is off"))


@pytest.mark.parametrize(
    ("entries", "expected", "certainty"),
    [
        ([BY_PICTURE], (3, 3), catalog_pb2.CERTAINTY_EXACT),
        ([BY_PICTURE, BY_SIZE], (3, 10), catalog_pb2.CERTAINTY_PUBLISHED),
        ([FREE], (0, 0), catalog_pb2.CERTAINTY_EXACT),
        ([FREE, BY_PICTURE, OFF], (0, 3), catalog_pb2.CERTAINTY_EXACT),
        ([BY_PICTURE, UNPRICED], (3, None), catalog_pb2.CERTAINTY_UNKNOWN),
        ([UNREAD, BY_SIZE], (10, None), catalog_pb2.CERTAINTY_UNKNOWN),
        ([UNPRICED, UNREAD], (None, None), catalog_pb2.CERTAINTY_UNKNOWN),
    ],
)
def test_the_span_and_how_sure_it_is(
    entries: Sequence[Entry], expected: tuple[int | None, int | None], certainty: int
) -> None:
    """P8: the least, the most, and the least sure candidate's certainty; what nobody knows is absent, never 0."""
    told = estimate_of(A_FOX, entries, NOW)
    assert span(told) == expected
    assert told.certainty == certainty


def test_each_candidate_is_told_in_order() -> None:
    """P8: one line per candidate that may be asked, for all pictures of the request and the size that is sent."""
    request = Request(width=1500, height=1024, count=2)
    told = estimate_of(request, [BY_SIZE, OFF, UNPRICED, BY_PICTURE], NOW)
    shown = [(each.provider, each.credits if each.HasField("credits") else None) for each in told.candidates]
    assert shown == [("b", 40), ("d", None), ("a", 6)]
    certainties = [each.certainty for each in told.candidates]
    assert certainties == [
        catalog_pb2.CERTAINTY_PUBLISHED,
        catalog_pb2.CERTAINTY_UNKNOWN,
        catalog_pb2.CERTAINTY_EXACT,
    ]


def test_where_nobody_may_be_asked_it_fails_like_generate() -> None:
    """P8: the reason, the code and the remedies are those that the request itself would end with."""
    dear = replace(entry("a", credits=50), obstacle=Obstacle(Reason.TOO_EXPENSIVE, "50", "allow 50"))
    with pytest.raises(Failure) as caught:
        estimate_of(A_FOX, [dear, OFF], NOW)
    assert (caught.value.reason, caught.value.code) == (Reason.NO_CANDIDATE, code_pb2.FAILED_PRECONDITION)
    assert caught.value.remedy == "allow 50"


models = st.fixed_dictionaries({
    "credits": st.none() | st.integers(0, 60),
    "priced_by": st.sampled_from(("picture", "megapixel")),
    "tier": st.sampled_from(("free", "pro")),
    "parameters": st.sampled_from((SIDES, {}, {name: {"minimum": 512, "maximum": 1440} for name in SIDES})),
}) | st.fixed_dictionaries({
    "credits": st.integers(0, 60),
    "priced_by": st.just("megapixel"),
    "parameters": st.just({}),
    "sizes": st.just(((1536, 1024), (1024, 1024))),
})  # fmt: skip
sizes = st.none() | st.integers(64, 4096)
requests = st.builds(
    Request,
    prompt=st.just("a fox"),
    width=sizes,
    height=sizes,
    count=st.none() | st.integers(1, 8),
    routing=st.builds(
        generation_pb2.Routing, max_credits=st.none() | st.integers(0, 300), tier=st.sampled_from(("", "free", "pro"))
    ),
)
faults = st.tuples(
    st.sampled_from((Reason.UPSTREAM_ERROR, Reason.RATE_LIMITED, Reason.BUSY, Reason.TIMEOUT, Reason.OUT_OF_CREDIT)),
    st.sampled_from((Dispatch.NOT_SENT, Dispatch.REFUSED, Dispatch.UNKNOWN)),
)


@given(
    request=requests,
    offers=st.lists(models, min_size=1, max_size=6),
    script=st.lists(faults, max_size=5),
    delivered=st.integers(1, 8),
    sick=st.sets(st.integers(0, 5), max_size=3),
)
def test_no_fault_makes_a_request_dearer_than_its_estimate(
    request: Request,
    offers: list[dict[str, object]],
    script: list[tuple[Reason, Dispatch]],
    delivered: int,
    sick: set[int],
) -> None:
    """P7, P8: whichever candidate delivers in the end, however many pictures, the cost is at most the estimate's `high`
    and the request's `max_credits`.
    """
    replica = FakeReplica()
    entries = [entry(f"p{place}", **fields) for place, fields in enumerate(offers)]
    entries = [replace(each, obstacle=_obstacle(each.candidate, request)) for each in entries]
    for place in sick:
        replica.trip(f"p{place}/m")
    try:
        told = estimate_of(request, entries, replica.clock())
    except Failure:
        assert isinstance(replica.course(*entries, request=request).next(replica.clock()), Ended)
        return
    course = replica.course(*entries, request=request)
    last = replica.play(course, [failed(reason, dispatch) for reason, dispatch in script])[-1]
    if not isinstance(last, Try) or last.candidate.model is None:
        return
    model, count = last.candidate.model, request.count or 1
    cost = price(model, fit(request, model, drawn_seed=7).parameters, min(delivered, count))
    if told.HasField("high"):
        assert cost is not None
        assert cost <= told.high
    if request.routing.HasField("max_credits"):
        assert cost is not None
        assert cost <= request.routing.max_credits


def _obstacle(candidate: Candidate, request: Request) -> Obstacle | None:
    return eligibility.not_allowed(candidate, request) or eligibility.too_expensive(candidate, request)
