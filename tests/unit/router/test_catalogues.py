"""What providers tell of themselves, read again and again."""

import asyncio
from collections.abc import Iterable
from typing import Any

from imagegate.router.catalogues import Catalogues
from imagegate.v1 import catalog_pb2


class Endpoint:
    """A provider's service that answers with what it is told."""

    provider = "fal"
    target = "nowhere"

    def __init__(
        self, key_revision: str, quota_left: int | None = None, models: Iterable[catalog_pb2.Model] = ()
    ) -> None:
        self.told = catalog_pb2.Provider(name="fal", enabled=True, key_revision=key_revision, quota_left=quota_left)
        self.models = models

    async def list_models(self) -> catalog_pb2.ListModelsResponse:
        return catalog_pb2.ListModelsResponse(providers=[self.told], models=self.models)


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


def a_model(**told: Any) -> catalog_pb2.Model:
    fields = {"provider": "fal", "key": "m", "display_name": "M", "upstream_model": "u/m", "tier": "free"}
    times = {"typical_seconds_low": 1, "typical_seconds_high": 2}
    return catalog_pb2.Model(**{**fields, **times, "enabled": True, **told})


async def test_somebody_elses_model_makes_no_sense() -> None:
    """P1, R14: a model of another provider is refused: options for that one's upstream would go to this one."""
    catalogues = Catalogues(lambda _: None, lambda _: None)
    await read(catalogues, Endpoint("one", models=[a_model(), a_model(key="x", provider="huggingface")]))
    problem = "its catalogue makes no sense: x: is of the provider 'huggingface'"
    assert (catalogues.known, catalogues.offer("fal").problem) == ({}, problem)
    await read(catalogues, Endpoint("one", models=[a_model()]))
    assert (set(catalogues.known), catalogues.offer("fal").problem) == ({"fal"}, "")
    await catalogues.close()


async def test_a_catalogue_that_is_the_same_is_not_read_again() -> None:
    """S2: reading hundreds of models takes the time of everybody's calls, so only what changed is read."""
    catalogues = Catalogues(lambda _: None, lambda _: None)
    await read(catalogues, Endpoint("one", models=[a_model()]))
    first = catalogues.known["fal"]
    await read(catalogues, Endpoint("two", quota_left=3, models=[a_model()]))
    assert (catalogues.known["fal"] is first, catalogues.offer("fal").quota_left) == (True, 3)
    await read(catalogues, Endpoint("two", models=[a_model(credits=4)]))
    assert catalogues.known["fal"].models[0].credits == 4
    await read(catalogues, Endpoint("two", models=[a_model(provider="x")]))
    assert catalogues.offer("fal").problem
    await read(catalogues, Endpoint("two", models=[a_model(credits=4)]))
    assert (catalogues.known["fal"].models[0].credits, catalogues.offer("fal").problem) == (4, "")
    await catalogues.close()
