"""When a model rejects everything, whoever asks for what."""

import pytest

from imagegate.router.rejecting import Rejecting
from imagegate.runtime.errors import Failure, Reason

REFUSED = Failure(
    Reason.UPSTREAM_REJECTED_INPUT, "the upstream refused the input", upstream_message="unexpected keyword 'steps'"
)


def refused(*prompts: int) -> Rejecting:
    rejecting = Rejecting()
    for prompt in prompts:
        rejecting.rejected(prompt, REFUSED, now=0)
    return rejecting


@pytest.mark.parametrize(
    ("prompts", "words"),
    [
        ([1, 2, 3, 4, 5, 6, 7, 8, 9], ""),
        ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], "unexpected keyword 'steps'"),
        ([1] * 100, ""),
        ([1, 2] * 50, ""),
        ([1] * 8 + [2, 3], "unexpected keyword 'steps'"),
    ],
)
def test_ten_in_a_row_from_three_prompts(prompts: list[int], words: str) -> None:
    """Ten rejections in a row from at least three prompts show the upstream's words; one bad prompt proves nothing."""
    assert refused(*prompts).words == words


def test_the_first_success_clears_it() -> None:
    """One delivery ends it, and counting begins anew."""
    rejecting = refused(*range(20))
    rejecting.over()
    assert rejecting.words == ""
    for prompt in range(9):
        rejecting.rejected(prompt, REFUSED, now=0)
    assert rejecting.words == ""


def test_without_the_upstreams_words_ours_are_shown() -> None:
    """An upstream that says nothing does not hide that it rejects everything."""
    rejecting = Rejecting()
    for prompt in range(10):
        rejecting.rejected(prompt, Failure(Reason.UPSTREAM_REJECTED_INPUT, "the upstream refused the input"), now=0)
    assert rejecting.words == "the upstream refused the input"
    assert repr(rejecting) == "<Rejecting 10 in a row>"


def test_any_number_of_prompts_takes_bounded_memory() -> None:
    """Three prompts are enough to know, so no more are remembered."""
    assert len(refused(*range(10_000))._prompts) == 3


def test_once_a_minute_it_gets_its_turn_again() -> None:
    """It stands last for a minute after each rejection: where it never came first again it could never clear itself."""
    rejecting = refused(*range(10))
    assert rejecting.stands_last(59)
    assert not rejecting.stands_last(60)
    rejecting.rejected(11, REFUSED, now=61)
    assert rejecting.stands_last(120)
    assert rejecting.words
