"""Who may have how many bytes, and what is tried until a picture has no more."""

from hypothesis import given
from hypothesis import strategies as st

from imagegate.runtime.output import (
    DEFAULT_OUTPUT_BYTES,
    LONGEST_SIDE,
    MAX_TRIES,
    QUALITIES,
    REST_BYTES,
    SMALLEST_SIDE,
    Step,
    Try,
    budget,
    fair_shares,
    lossy_format,
    next_step,
)
from imagegate.runtime.validation import MAX_OUTPUT_BYTES, MIN_OUTPUT_BYTES
from imagegate.v1 import generation_pb2

Output = generation_pb2.Output
# gRPC's own limit for a message.
UNTUNED = 4 * 1024 * 1024


def test_what_is_not_said_fits_an_untuned_client() -> None:
    """S1: without `max_bytes` pictures have 4,000,000 bytes, however much the answer says besides."""
    assert budget(Output(), 1, 300) == DEFAULT_OUTPUT_BYTES == 4_000_000
    for rest in (0, REST_BYTES, 1_000_000, 3_000_000):
        assert budget(Output(), 1, rest) + rest + REST_BYTES < UNTUNED


@given(st.integers(1, 8), st.integers(0, MAX_OUTPUT_BYTES), st.integers(0, 5_000_000))
def test_every_picture_has_its_least(pictures: int, more: int, rest: int) -> None:
    """Whatever else there is to say, each picture may have what it can always be made to fit into."""
    asked = min(MIN_OUTPUT_BYTES * pictures + more, MAX_OUTPUT_BYTES)
    total = budget(Output(max_bytes=asked), pictures, rest)
    assert MIN_OUTPUT_BYTES * pictures <= total <= asked


def test_the_small_keep_theirs_and_the_large_share_the_rest() -> None:
    """What fits into a fair share keeps its bytes, wherever it stands among the others."""
    assert fair_shares([100, 5000, 300, 4000], 1400) == [100, 500, 300, 500]
    assert fair_shares([100, 200], 300) == [100, 200]
    assert fair_shares([1, 900], 500) == [1, 499]
    assert fair_shares([], 500) == []


@given(st.lists(st.integers(1, 40_000_000), min_size=1, max_size=8), st.integers(8 * 16_384, 56_000_000))
def test_shares_are_fair(sizes: list[int], total: int) -> None:
    """Shares stay within the total, none is more than the picture has, and nobody who gives has less than another."""
    shares = fair_shares(sizes, total)
    assert sum(shares) <= total
    assert all(share <= size for share, size in zip(shares, sizes, strict=True))
    cut = [share for share, size in zip(shares, sizes, strict=True) if share < size]
    assert all(share >= max(shares) - 1 for share in cut)
    assert all(share >= min(total // len(sizes), size) for share, size in zip(shares, sizes, strict=True))


def test_the_format_in_which_a_picture_is_made_to_fit() -> None:
    """What was asked for stays, and what the upstream gave; a PNG becomes a JPEG, or a WEBP where it is transparent."""
    assert lossy_format("WEBP", "PNG", transparent=False) == "WEBP"
    assert lossy_format("JPEG", "WEBP", transparent=True) == "JPEG"
    assert lossy_format(None, "WEBP", transparent=False) == "WEBP"
    assert lossy_format("PNG", "JPEG", transparent=False) == "JPEG"
    assert lossy_format("PNG", "PNG", transparent=False) == "JPEG"
    assert lossy_format(None, "PNG", transparent=True) == "WEBP"


def test_quality_goes_before_size() -> None:
    """First the best, then the best that can be expected to fit, and only then a smaller picture."""
    assert next_step("JPEG", 1024, 500_000, []) == Step(95, 1.0)
    assert next_step("JPEG", 1024, 500_000, [Try(Step(95), 800_000)]) == Step(85, 1.0)
    assert next_step("JPEG", 1024, 500_000, [Try(Step(95), 1_500_000)]) == Step(50, 1.0)
    smaller = next_step("JPEG", 1024, 500_000, [Try(Step(95), 5_000_000)])
    assert smaller.quality == 50
    assert 0.4 < smaller.scale < 0.6
    assert next_step("JPEG", 1024, 500_000, [Try(Step(95), 5_000_000), Try(smaller, 600_000)]).scale < smaller.scale


def test_what_the_encoder_refuses_is_tried_with_less() -> None:
    """A WEBP of megapixels of noise cannot be encoded at its best: a lower quality goes first, then half the sides."""
    tries = [Try(Step(95), None)]
    assert next_step("WEBP", 4096, 500_000, tries) == Step(85, 1.0)
    assert next_step("WEBP", 4096, 500_000, [*tries, Try(Step(50), None)]) == Step(50, 0.5)


@given(st.sampled_from(["JPEG", "WEBP"]), st.integers(1, 17_000_000), st.integers(1, 17_000_000))
def test_no_side_is_longer_than_the_format_takes(kind: str, width: int, height: int) -> None:
    """A side that a format has no room for is made shorter, and none vanishes."""
    step = next_step(kind, max(width, height), 10**9, [])  # type: ignore[arg-type]
    size = step.size(width, height)
    assert 1 <= min(size) <= max(size) <= LONGEST_SIDE[kind]  # type: ignore[index]
    assert size == (width, height) or max(width, height) > LONGEST_SIDE[kind]  # type: ignore[index]


@given(
    st.integers(1, 70_000),
    st.integers(MIN_OUTPUT_BYTES, 40_000_000),
    st.lists(st.none() | st.integers(1, 1000), min_size=MAX_TRIES, max_size=MAX_TRIES),
)
def test_every_step_asks_for_less_and_the_last_for_next_to_nothing(
    longest: int, limit: int, excess: list[int | None]
) -> None:
    """Whatever comes of the steps, each asks for less than the one before, and there are six at the most."""
    tries: list[Try] = []
    for more in excess:
        step = next_step("WEBP", longest, limit, tries)
        if tries:
            before = tries[-1].step
            assert step.quality < before.quality or step.scale < before.scale or len(tries) == MAX_TRIES - 1
        assert step.quality in QUALITIES
        assert 0 < step.scale <= 1
        tries.append(Try(step, None if more is None else limit + more))
    assert max(tries[-1].step.size(longest, longest)) <= SMALLEST_SIDE
