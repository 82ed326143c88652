"""What several of these tests stand on."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from imagegate.testing import House


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """A router over scripted providers, to be built."""
    async with AsyncExitStack() as stack:
        yield House(stack)
