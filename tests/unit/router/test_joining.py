"""The same request twice is made once."""

import asyncio

import pytest
from google.rpc import code_pb2

from imagegate.router.joining import KEPT_SECONDS, Joining
from imagegate.router.router import Answered
from imagegate.runtime.errors import Failure, Reason
from imagegate.testing import FakeClock
from imagegate.v1 import generation_pb2


class Kitchen:
    """Makes answers of a given size, and counts them."""

    def __init__(self, size: int = 10, failure: Failure | None = None) -> None:
        self.size = size
        self.failure = failure
        self.made = 0

    async def __call__(self) -> Answered:
        self.made += 1
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        return Answered(b"x" * self.size, ())


def request(key: str, prompt: str = "a cat") -> generation_pb2.GenerateRequest:
    return generation_pb2.GenerateRequest(prompt=prompt, idempotency_key=key)


async def test_a_key_is_forgotten_after_a_quarter_of_an_hour() -> None:
    """Within 15 minutes a key gets its answer again; after that it stands for a new request."""
    clock, kitchen = FakeClock(), Kitchen()
    joining = Joining(clock)
    await joining.answer(request("k"), kitchen)
    clock.advance(KEPT_SECONDS - 1)
    await joining.answer(request("k"), kitchen)
    assert kitchen.made == 1
    clock.advance(1)
    await joining.answer(request("k", "a dog"), kitchen)
    assert kitchen.made == 2


async def test_answers_are_kept_up_to_a_number_of_bytes() -> None:
    """Of answers that had to go only the key is known: it is refused rather than paid for again in silence."""
    kitchen = Kitchen(size=60)
    joining = Joining(FakeClock(), max_bytes=100)
    await joining.answer(request("first"), kitchen)
    await joining.answer(request("second"), kitchen)
    with pytest.raises(Failure) as caught:
        await joining.answer(request("first"), kitchen)
    assert caught.value.code == code_pb2.FAILED_PRECONDITION
    assert (await joining.answer(request("second"), kitchen)).body == b"x" * 60
    assert kitchen.made == 2


async def test_keys_are_bounded() -> None:
    """However many keys there are, ten thousand and those under way are remembered."""
    kitchen = Kitchen()
    joining = Joining(FakeClock())
    for number in range(10_100):
        await joining.answer(request(f"k{number}"), kitchen)
    assert len(joining._shared) <= 10_001


async def test_a_failure_reaches_everybody_who_waits_and_nobody_after_them() -> None:
    """Who has joined gets the failure of the call that he joined; who comes later makes a new one."""
    kitchen = Kitchen(failure=Failure(Reason.UPSTREAM_ERROR, "boom"))
    joining = Joining(FakeClock())
    calls = [joining.answer(request("k"), kitchen) for _ in range(3)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results] == [Failure] * 3
    assert kitchen.made == 1
    kitchen.failure = None
    await joining.answer(request("k"), kitchen)
    assert kitchen.made == 2


async def test_whoever_comes_when_the_last_has_left_begins_anew() -> None:
    """Work that nobody waits for any more is cancelled, and nobody can join what is ending."""
    started = asyncio.Event()

    async def never() -> Answered:
        started.set()
        await asyncio.Event().wait()
        raise AssertionError

    joining, kitchen = Joining(FakeClock()), Kitchen()
    only = asyncio.create_task(joining.answer(request("k"), never))
    await started.wait()
    only.cancel()
    await asyncio.gather(only, return_exceptions=True)
    await joining.answer(request("k"), kitchen)
    assert kitchen.made == 1
