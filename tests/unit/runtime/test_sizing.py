"""Width and height together: the shape of a picture comes before its number of pixels (R1, P4)."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagegate.runtime.fitting import Fitted, fit, forbidden
from imagegate.runtime.models import Model
from imagegate.runtime.parameters import Parameter
from imagegate.runtime.sizing import in_shape, nearest_size
from imagegate.v1 import generation_pb2, terms_pb2

Request = generation_pb2.GenerateRequest
FEW = ((1024, 1024), (1344, 768), (768, 1344), (512, 512))
PIXELS = st.integers(64, 4096)


def of_sizes(*sizes: tuple[int, int]) -> Model:
    return Model(key="m", display_name="The model", upstream_model="u/m", sizes=sizes)


def of_range(minimum: int = 256, maximum: int = 1440, multiple_of: int | None = None) -> Model:
    sides = Parameter(minimum=minimum, maximum=maximum, multiple_of=multiple_of, default=maximum)
    return Model(key="m", display_name="M", upstream_model="u/m", parameters={"width": sides, "height": sides})


def sent(result: Fitted) -> tuple[object, object]:
    return result.parameters["width"], result.parameters["height"]


def told(result: Fitted) -> list[tuple[str, str, str]]:
    """Each adjustment as (parameter, applied, action)."""
    return [
        (a.parameter, a.applied, generation_pb2.Action.Name(a.action).removeprefix("ACTION_"))
        for a in result.adjustments
    ]


@pytest.mark.parametrize(
    ("asked", "nearest"),
    [
        ((1024, 1024), (1024, 1024)),
        ((600, 600), (512, 512)),
        ((768, 768), (1024, 1024)),  # 1.8 times the pixels, the other has fewer than half of them
        ((4096, 4096), (1024, 1024)),
        ((1920, 1080), (1344, 768)),
        ((1080, 1920), (768, 1344)),
        ((64, 200), (768, 1344)),
        ((900, 1000), (1024, 1024)),
    ],
)
def test_the_nearest_of_few_sizes(asked: tuple[int, int], nearest: tuple[int, int]) -> None:
    """R1: of few sizes the nearest is made, by shape first and by pixels second."""
    assert sent(fit(Request(prompt="a", width=asked[0], height=asked[1]), of_sizes(*FEW), 0)) == nearest


def test_each_side_that_becomes_another_is_told() -> None:
    """R1: each asked side that differs is TRANSLATED, with the sizes there are; one that stays is not told."""
    both = fit(Request(prompt="a", width=1920, height=1080), of_sizes(*FEW), 0)
    assert told(both) == [("width", "1344", "TRANSLATED"), ("height", "768", "TRANSLATED")]
    assert {a.why for a in both.adjustments} == {"the model makes 1024x1024, 1344x768, 768x1344, 512x512 only"}
    one = fit(Request(prompt="a", width=1344, height=800), of_sizes(*FEW), 0)
    assert (sent(one), told(one)) == ((1344, 768), [("height", "768", "TRANSLATED")])


def test_the_usual_size_is_the_first() -> None:
    """R2: where no size is asked for the first is made, and nothing told; also for a quality that has none there."""
    for request in (Request(prompt="a"), Request(prompt="a", quality=terms_pb2.QUALITY_HD)):
        result = fit(request, of_sizes((1344, 768), (512, 512)), 0)
        assert (sent(result), result.adjustments) == ((1344, 768), ())


def test_a_quality_chooses_among_sizes() -> None:
    """P2: where no size is asked for that of the quality is made, if the model makes it; one side is a wish already."""
    model = of_sizes((1344, 768), (512, 512), (768, 1344))
    result = fit(Request(prompt="a", quality=terms_pb2.QUALITY_SD), model, 0)
    assert (sent(result), result.adjustments) == ((512, 512), ())
    one = fit(Request(prompt="a", quality=terms_pb2.QUALITY_SD, width=768), model, 0)
    assert sent(one) == (768, 1344)


def test_one_side_alone_takes_the_size_that_has_it() -> None:
    """R1: a side that is asked for alone is kept where any size has it, the other being open."""
    result = fit(Request(prompt="a", width=768), of_sizes(*FEW), 0)
    assert (sent(result), result.adjustments) == ((768, 1344), ())
    near = fit(Request(prompt="a", height=700), of_sizes(*FEW), 0)
    assert (sent(near), told(near)) == ((1344, 768), [("height", "768", "TRANSLATED")])


def test_of_many_sizes_some_are_named() -> None:
    """R1: an adjustment stays readable where a model makes very many sizes."""
    result = fit(Request(prompt="a", width=64, height=65), of_sizes(*((512 + 8 * n, 512) for n in range(64))), 0)
    assert result.adjustments[0].why.endswith("and 52 others only")


@given(PIXELS, PIXELS, st.lists(st.tuples(PIXELS, PIXELS), min_size=1, max_size=8))
def test_no_size_is_nearer(width: int, height: int, sizes: list[tuple[int, int]]) -> None:
    """R1: whatever is asked and made, no other size is nearer in shape, and none of the same shape in pixels."""
    own = nearest_size((width, height), sizes)
    for other in sizes:
        worse, nearer = (max(w * height, h * width) / min(w * height, h * width) for w, h in (own, other))
        assert worse <= nearer * (1 + 1e-12)
        if own[0] * other[1] == own[1] * other[0]:
            assert times(own[0] * own[1], width * height) <= times(other[0] * other[1], width * height)


def times(pixels: int, asked: int) -> Fraction:
    """How many times more pixels one has than the other, exactly."""
    return Fraction(max(pixels, asked), min(pixels, asked))


@pytest.mark.parametrize(
    ("asked", "model", "expected"),
    [
        ((4096, 2048), of_range(), (1440, 720)),
        ((4096, 2048), of_range(multiple_of=32), (1440, 704)),
        ((2048, 4096), of_range(), (720, 1440)),
        ((4096, 4096), of_range(), (1440, 1440)),
        ((100, 200), of_range(), (256, 512)),
        ((64, 128), of_range(multiple_of=32), (256, 512)),
        ((2880, 1000), of_range(), (1440, 500)),
        ((4096, 100), of_range(), (1440, 256)),
        ((64, 4096), of_range(), (256, 1440)),
        ((200, 1440), of_range(), (256, 1440)),
    ],
)
def test_the_shape_comes_before_the_pixels(asked: tuple[int, int], model: Model, expected: tuple[int, int]) -> None:
    """R1, P4: a size out of range becomes larger or smaller as a whole, as little as it takes and as far as it goes."""
    result = fit(Request(prompt="a", width=asked[0], height=asked[1]), model, 0)
    assert sent(result) == expected
    changed = [name for name, one, other in zip(("width", "height"), asked, expected, strict=True) if one != other]
    assert [a.parameter for a in result.adjustments] == changed


def test_both_sides_say_why() -> None:
    """R1: the side out of range is clamped, the one that follows it translated, each with its reason."""
    result = fit(Request(prompt="a", width=2880, height=1000), of_range(), 0)
    assert told(result) == [("width", "1440", "CLAMPED"), ("height", "500", "TRANSLATED")]
    assert result.adjustments[0].why == "the model takes 256 to 1440; the shape is kept as far as possible"
    assert "the other side is out of the model's range" in result.adjustments[1].why


def test_a_side_alone_has_no_shape() -> None:
    """R1: where one side is asked for the other is the model's own."""
    result = fit(Request(prompt="a", width=4096), of_range(), 0)
    assert (sent(result), told(result)) == ((1440, 1440), [("width", "1440", "CLAMPED")])


def test_a_size_in_range_keeps_to_the_grid_only() -> None:
    """R1: within the range each side goes to the nearest point of the grid, whatever that does to the shape."""
    result = fit(Request(prompt="a", width=1000, height=500), of_range(multiple_of=32), 0)
    assert told(result) == [("width", "992", "ROUNDED"), ("height", "512", "ROUNDED")]


def test_a_side_that_must_be_kept_does_not_follow_the_other() -> None:
    """R1: for the shape no side is changed that must reach the model as asked, so that it stays eligible."""
    request = Request(prompt="a", width=2880, height=1000, must_keep=["height"])
    result = fit(request, of_range(), 0)
    assert (sent(result), told(result)) == ((1440, 1000), [("width", "1440", "CLAMPED")])
    assert forbidden(request, result.adjustments) == []
    request.must_keep.append("width")
    assert forbidden(request, fit(request, of_range(), 0).adjustments) == ["width"]


def test_of_few_sizes_one_that_keeps_the_side() -> None:
    """R1: of few sizes one is made that has the side which must be kept, if there is any, though another is nearer."""
    request = Request(prompt="a", width=1344, height=1344, must_keep=["width"])
    result = fit(request, of_sizes(*FEW), 0)
    assert (sent(result), forbidden(request, result.adjustments)) == ((1344, 768), [])
    request.width = 1345
    assert forbidden(request, fit(request, of_sizes(*FEW), 0).adjustments) == ["width"]


@pytest.mark.parametrize("model", [of_sizes(*FEW), of_range()], ids=["few sizes", "a range"])
def test_a_size_may_be_forbidden_to_change(model: Model) -> None:
    """R1: under REFUSE, or with both sides in must_keep, a size that cannot be made is refused by its names."""
    asked = {"prompt": "a", "width": 4096, "height": 2048}
    refused = Request(**asked, on_unsupported=generation_pb2.ON_UNSUPPORTED_REFUSE)
    kept = Request(**asked, must_keep=["width", "height"])
    assert forbidden(refused, fit(refused, model, 0).adjustments) == ["width", "height"]
    assert forbidden(kept, fit(kept, model, 0).adjustments) == ["width", "height"]


RANGES = st.tuples(st.integers(1, 64), st.integers(0, 64), st.integers(0, 64)).map(
    lambda told: Parameter(minimum=told[0] * 64, maximum=(told[0] + told[1]) * 64, multiple_of=2 ** (told[2] % 7))
)


@given(PIXELS, PIXELS, st.tuples(RANGES, RANGES))
def test_in_shape(width: int, height: int, ranges: tuple[Parameter, Parameter]) -> None:
    """P4: both sides end within their ranges and on their grids; where one factor fits both the shape stays, but for
    the grids.
    """
    fitted = in_shape((width, height), ranges)
    for own, side in zip(ranges, fitted, strict=True):
        assert own.takes(side)
    low = max((own.minimum or 0) / side for own, side in zip(ranges, (width, height), strict=True))
    high = min((own.maximum or 0) / side for own, side in zip(ranges, (width, height), strict=True))
    if low <= high:
        factor = min(max(1.0, low), high)
        for own, asked, side in zip(ranges, (width, height), fitted, strict=True):
            assert abs(side - asked * factor) <= (own.multiple_of or 1)
