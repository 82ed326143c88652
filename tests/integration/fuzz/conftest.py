"""How many requests are made up, and from what."""

import random
from collections.abc import Sequence

import pytest

# By the profile: through the pure parts only, and over sockets.
PAYLOADS = {"default": 3_000, "nightly": 100_000}
CALLS = {"default": 100, "nightly": 2_000}
# One test per part, so that the workers share them.
PARTS = 4


def seeds_of(request: pytest.FixtureRequest, numbers: dict[str, int]) -> Sequence[str]:
    """The seeds of one part; the same again for the same --hypothesis-seed."""
    options = request.config
    seed = options.getoption("--hypothesis-seed") or random.SystemRandom().randrange(2**32)
    number = numbers[options.getoption("--hypothesis-profile") or "default"]
    return [f"{seed}/{index}" for index in range(request.param, number, PARTS)]


@pytest.fixture(params=range(PARTS), ids=lambda part: f"part-{part}")
def payload_seeds(request: pytest.FixtureRequest) -> Sequence[str]:
    """Of requests that go no further than a payload."""
    return seeds_of(request, PAYLOADS)


@pytest.fixture(params=range(PARTS), ids=lambda part: f"part-{part}")
def call_seeds(request: pytest.FixtureRequest) -> Sequence[str]:
    """Of requests that go all the way."""
    return seeds_of(request, CALLS)
