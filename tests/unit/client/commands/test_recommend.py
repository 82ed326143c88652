"""`recommend` against a scripted router on a real socket."""

import json
from typing import Any

import pytest

from imagegate.v1 import catalog_pb2, terms_pb2


def words(row: str) -> str:
    return " ".join(row.split())


async def test_recommend_names_models_and_says_why(
    router: Any, imagegate: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """P8: best first, with tier, price, whether it would be tried now, and why; JSON has the whole answer."""
    assert await imagegate("recommend", "--router", router.address) == 0
    head, first, second = map(words, capsys.readouterr().out.splitlines())
    assert head == "model tier credits now why"
    assert first == "fal/flux-pro pro 50 yes the first recommendation: ultra quality"
    assert second == "huggingface/odd free ? no small: sd quality; not now: BACKING_OFF"
    assert await imagegate("recommend", "--limit", "1", "--json", "--router", router.address) == 0
    (only,) = json.loads(capsys.readouterr().out)["recommendations"]
    assert (only["model"]["key"], only["cost"], only["available"]) == ("flux-pro", 50, True)


async def test_where_none_fits_it_says_what_is_in_the_way(
    router: Any, imagegate: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """P8: an empty answer is an answer: one sentence, and exit code 0."""
    assert await imagegate("recommend", "--max-credits", "0", "--router", router.address) == 0
    assert capsys.readouterr().out == "no model fits: max_credits 0 is in the way\n"


async def test_every_limit_reaches_its_field(router: Any, imagegate: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """What is given is sent as given, and what is not given is not sent."""
    options = (
        "--use-case drafts --task inpainting --max-credits 30 --max-seconds 9.5 --min-quality hd --tier pro --limit 3"
    )
    assert await imagegate("recommend", *options.split(), "--router", router.address) == 0
    assert await imagegate("recommend", "--router", router.address) == 0
    full, bare = router.recommended
    assert full == catalog_pb2.RecommendModelsRequest(
        use_case="drafts",
        task=catalog_pb2.TASK_INPAINTING,
        max_credits=30,
        max_seconds=9.5,
        min_quality=terms_pb2.QUALITY_HD,
        tier="pro",
        limit=3,
    )
    assert bare == catalog_pb2.RecommendModelsRequest(task=catalog_pb2.TASK_TEXT_TO_IMAGE)
    assert await imagegate("recommend", "--task", "painting", "--router", router.address) == 2
    assert "--task" in capsys.readouterr().err
