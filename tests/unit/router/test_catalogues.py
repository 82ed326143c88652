"""What providers tell of themselves, read again and again."""

import asyncio
from typing import Any

from imagegate.router.catalogues import Catalogues
from imagegate.v1 import catalog_pb2


class Endpoint:
    """A provider's service that answers with what it is told."""

    provider = "fal"
    target = "nowhere"

    def __init__(self, key_revision: str, quota_left: int | None = None) -> None:
        self.told = catalog_pb2.Provider(name="fal", enabled=True, key_revision=key_revision, quota_left=quota_left)

    async def list_models(self) -> catalog_pb2.ListModelsResponse:
        return catalog_pb2.ListModelsResponse(providers=[self.told])


async def read(catalogues: Catalogues, endpoint: Any) -> None:
    catalogues.watch(endpoint)
    async with asyncio.timeout(5):
        await catalogues.asked_once(within=5)


async def test_another_key_is_heard_of_once() -> None:
    """A token that was never seen means another key; one that is seen again, of another replica perhaps, does not."""
    heard: list[str] = []
    catalogues = Catalogues(heard.append, lambda _: None)
    for revision, times in (("one", 1), ("two", 2), ("one", 2), ("two", 2), ("three", 3)):
        await read(catalogues, Endpoint(revision))
        assert len(heard) == times
    await catalogues.close()


async def test_what_is_left_of_a_quota_is_known() -> None:
    """R9, R11: the requests that a provider may still make today are known, and heard of while there are any."""
    heard: list[str] = []
    catalogues = Catalogues(lambda _: None, heard.append)
    await read(catalogues, Endpoint("one", quota_left=7))
    assert catalogues.offer("fal").quota_left == 7
    await read(catalogues, Endpoint("one", quota_left=0))
    assert heard == ["fal"]
    await read(catalogues, Endpoint("one"))
    assert catalogues.offer("fal").quota_left is None
    await catalogues.close()


async def test_a_provider_that_was_taken_out_is_forgotten() -> None:
    """What a removed provider offered is known no more, and cannot become a label."""
    catalogues = Catalogues(lambda _: None, lambda _: None)
    await read(catalogues, Endpoint("one"))
    assert set(catalogues.known) == {"fal"}
    await catalogues.forget("fal")
    assert not catalogues.known
    assert catalogues.offer("fal").catalogue is None
    await catalogues.close()
