"""What a task knows of the request that it works on."""

import asyncio

from imagegate.runtime.current import begin_batch, begin_request, current_request_id, told_of_task


async def test_the_first_legal_id() -> None:
    """A request has the first legal id that it is offered."""
    assert begin_request("not legal!", "", "first", "second") == "first"
    assert current_request_id() == "first"
    assert told_of_task() == {"request_id": "first"}


async def test_an_id_of_our_own() -> None:
    """Where no legal id is offered a request has one that no other has."""
    drawn = {begin_request("not legal!") for _ in range(1000)}
    assert len(drawn) == 1000
    assert {len(each) for each in drawn} == {32}


async def test_requests_of_a_batch() -> None:
    """Log lines of each request of a batch tell its own id and that of the batch; those of others do not."""

    async def made(request_id: str) -> dict[str, str]:
        begin_request(request_id)
        await asyncio.sleep(0)
        return dict(told_of_task())

    async def batch() -> list[dict[str, str]]:
        begin_request("all")
        begin_batch()
        return await asyncio.gather(made("one"), made("two"))

    of_batch, alone = await asyncio.gather(batch(), made("three"))
    assert of_batch == [{"request_id": "one", "batch": "all"}, {"request_id": "two", "batch": "all"}]
    assert alone == {"request_id": "three"}
