"""How many scripts are made up, and from what."""

import random
from collections.abc import Sequence

import pytest

SCRIPTS = {"default": 100, "nightly": 2000}
# One test per part, so that the workers share them.
PARTS = 4


@pytest.fixture(params=range(PARTS), ids=lambda part: f"part-{part}")
def seeds(request: pytest.FixtureRequest) -> Sequence[str]:
    """The seeds of one part of the scripts; the same again for the same --hypothesis-seed."""
    options = request.config
    seed = options.getoption("--hypothesis-seed") or random.SystemRandom().randrange(2**32)
    number = SCRIPTS[options.getoption("--hypothesis-profile") or "default"]
    return [f"{seed}/{index}" for index in range(request.param, number, PARTS)]
