"""The same request twice is made once."""

import asyncio
import gc
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from google.rpc import code_pb2

from imagegate.router.joining import KEPT_SECONDS, MAX_KEYS, OVERHEAD_BYTES, Joining
from imagegate.router.router import Answered
from imagegate.runtime.errors import Failure, Reason
from imagegate.testing import FakeClock
from imagegate.v1 import error_pb2, generation_pb2, terms_pb2


class Kitchen:
    """Makes answers of a given size, and counts them."""

    def __init__(self, size: int = 10, failure: Failure | None = None, unsettled: Failure | None = None) -> None:
        self.size = size
        self.failure = failure
        self.open_charge = unsettled
        self.made = 0

    async def make(self) -> Answered:
        self.made += 1
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        return Answered(b"x" * self.size, ())

    def unsettled(self) -> Failure | None:
        return self.open_charge


@dataclass
class Oven:
    """Bakes until it is opened, and takes no notice of being cancelled before that if it `ends_slowly`."""

    ends_slowly: bool = False
    open_charge: Failure | None = None
    started: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    was_cancelled: bool = False

    async def make(self) -> Answered:
        self.started.set()
        try:
            await self.opened.wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            if not self.ends_slowly:
                raise
            await self.opened.wait()
        return Answered(b"baked", ())

    def unsettled(self) -> Failure | None:
        return self.open_charge


async def leave(call: asyncio.Task[Answered]) -> None:
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0)


JOB_7 = Failure(Reason.CANCELLED, "job-7 may be charged", code=code_pb2.UNAVAILABLE)
AVAILABLE = generation_pb2.Routing(payment=terms_pb2.PAYMENT_AVAILABLE)


def request(
    key: str, prompt: str = "a cat", routing: generation_pb2.Routing | None = None
) -> generation_pb2.GenerateRequest:
    return generation_pb2.GenerateRequest(prompt=prompt, idempotency_key=key, routing=routing)


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
    kitchen = Kitchen(size=60_000)
    joining = Joining(FakeClock(), max_bytes=100_000)
    await joining.answer(request("first"), kitchen)
    await joining.answer(request("second"), kitchen)
    with pytest.raises(Failure) as caught:
        await joining.answer(request("first"), kitchen)
    assert caught.value.code == code_pb2.FAILED_PRECONDITION
    assert (await joining.answer(request("second"), kitchen)).body == b"x" * 60_000
    assert kitchen.made == 2


async def test_answers_without_pictures_count_too() -> None:
    """However small they are, answers take room, and those beyond it go."""
    kitchen = Kitchen(size=0)
    joining = Joining(FakeClock(), max_bytes=10 * OVERHEAD_BYTES)
    for number in range(20):
        await joining.answer(request(f"k{number}"), kitchen)
    assert len(joining._with_answers) == 10


async def test_keys_are_bounded() -> None:
    """However many keys there are, so many and those under way are remembered."""
    kitchen = Kitchen()
    joining = Joining(FakeClock(), max_keys=100)
    for number in range(300):
        await joining.answer(request(f"k{number}"), kitchen)
    assert len(joining._shared) <= 101
    await joining.answer(request("k299"), kitchen)
    assert kitchen.made == 300


def test_a_key_holds_at_a_hundred_calls_a_second() -> None:
    """The SDK draws a key for every call: those of a quarter of an hour have room."""
    assert MAX_KEYS >= 100 * KEPT_SECONDS


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
    """F40: work that nobody waits for any more is cancelled; where it cost nothing the key makes a new one."""
    oven, joining, kitchen = Oven(), Joining(FakeClock()), Kitchen()
    only = asyncio.create_task(joining.answer(request("k"), oven))
    await oven.started.wait()
    await leave(only)
    assert oven.was_cancelled
    await joining.answer(request("k"), kitchen)
    assert kitchen.made == 1


async def test_nobody_joins_what_is_ending() -> None:
    """Whoever comes while work that was left is still ending waits for its end, and begins anew after it failed."""
    oven, joining, kitchen = Oven(ends_slowly=True), Joining(FakeClock()), Kitchen()
    first = asyncio.create_task(joining.answer(request("k"), oven))
    await oven.started.wait()
    first.cancel()
    await until(lambda: oven.was_cancelled)
    second = asyncio.create_task(joining.answer(request("k"), kitchen))
    await asyncio.sleep(0)
    assert not kitchen.made
    joining._shared["/k"].task.cancel()
    assert (await second).body == b"x" * 10
    assert kitchen.made == 1


async def test_what_was_left_and_may_be_charged_is_not_made_again() -> None:
    """F40, paying once: all callers left, the order may be charged: its key gets a failure that says so, for as long
    as a key holds, and is another's still not.
    """
    oven, kitchen, clock = Oven(open_charge=JOB_7), Kitchen(), FakeClock()
    joining = Joining(clock)
    only = asyncio.create_task(joining.answer(request("k"), oven))
    await oven.started.wait()
    await leave(only)
    for _ in range(2):
        with pytest.raises(Failure, match="job-7") as caught:
            await joining.answer(request("k"), kitchen)
        assert caught.value.code == code_pb2.UNAVAILABLE
    with pytest.raises(Failure, match="another request"):
        await joining.answer(request("k", "a dog", AVAILABLE), kitchen)
    assert not kitchen.made
    clock.advance(KEPT_SECONDS)
    await joining.answer(request("k"), kitchen)
    assert kitchen.made == 1


async def test_whoever_accepts_a_second_charge_gets_what_was_left() -> None:
    """Paying once: the same request with routing.payment AVAILABLE is made again under its key."""
    oven, kitchen, joining = Oven(open_charge=JOB_7), Kitchen(), Joining(FakeClock())
    only = asyncio.create_task(joining.answer(request("k"), oven))
    await oven.started.wait()
    await leave(only)
    for _ in range(2):
        await joining.answer(request("k", routing=AVAILABLE), kitchen)
    await joining.answer(request("k"), kitchen)
    assert kitchen.made == 1


async def test_what_was_delivered_in_the_moment_of_leaving_is_kept() -> None:
    """Paying once: where the answer came when the last caller had just left, a repetition gets it."""
    oven, kitchen, joining = Oven(ends_slowly=True), Kitchen(), Joining(FakeClock())
    first = asyncio.create_task(joining.answer(request("k"), oven))
    await oven.started.wait()
    first.cancel()
    await until(lambda: oven.was_cancelled)
    oven.opened.set()
    assert (await joining.answer(request("k"), kitchen)).body == b"baked"
    assert not kitchen.made


async def test_a_failure_that_may_be_charged_is_told_again() -> None:
    """Paying once: a repetition gets the failure of the first call, word for word, and nothing is made."""
    kitchen = Kitchen(failure=Failure(Reason.TIMEOUT, "too late"), unsettled=JOB_7)
    joining = Joining(FakeClock())
    for _ in range(3):
        with pytest.raises(Failure, match="too late"):
            await joining.answer(request("k"), kitchen)
    assert kitchen.made == 1


TOO_LATE = Failure(Reason.TIMEOUT, "too late")
TOO_SHORT = error_pb2.Attempt(skipped=error_pb2.Skip(reason=Reason.DEADLINE_TOO_SHORT.to_proto()))


@pytest.mark.parametrize(
    "failure",
    [
        TOO_LATE,
        Failure(Reason.NO_CANDIDATE, "no time left", code=code_pb2.DEADLINE_EXCEEDED),
        Failure(Reason.RATE_LIMITED, "and no time for the other", attempts=[TOO_SHORT], code=code_pb2.UNAVAILABLE),
    ],
    ids=["too late", "no time left", "no time for one"],
)
async def test_whoever_has_more_time_than_the_first_begins_anew(failure: Failure) -> None:
    """The first caller's deadline is his own: those who joined make one new order among them where it was too short."""
    hasty, patient, joining = Kitchen(failure=failure), Kitchen(), Joining(FakeClock())
    calls = [joining.answer(request("k"), each) for each in (hasty, patient, patient)]
    first, *others = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(first, Failure)
    assert [type(other) for other in others] == [Answered] * 2
    assert (hasty.made, patient.made) == (1, 1)


@pytest.mark.parametrize(
    ("failure", "unsettled"), [(TOO_LATE, JOB_7), (Failure(Reason.OVERLOADED, "boom"), None)], ids=["charged", "sick"]
)
async def test_more_time_changes_nothing_about_other_failures(failure: Failure, unsettled: Failure | None) -> None:
    """Whoever joined gets a failure that time did not cause, and one after which somebody may be charged."""
    hasty, patient, joining = Kitchen(failure=failure, unsettled=unsettled), Kitchen(), Joining(FakeClock())
    calls = [joining.answer(request("k"), each) for each in (hasty, patient)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results] == [Failure] * 2
    assert not patient.made


async def test_of_a_request_only_a_digest_is_kept() -> None:
    """P3: a request may bring 24 MiB along, and a key is kept for a quarter of an hour."""
    joining, kitchen = Joining(FakeClock()), Kitchen()
    made_for = weakref.ref(kitchen)
    image = generation_pb2.InputImage(data=bytes(1_000_000))
    asked = request("k")
    asked.image_to_image.image.CopyFrom(image)
    await joining.answer(asked, kitchen)
    del kitchen
    gc.collect()
    assert made_for() is None
    assert (await joining.answer(asked, Kitchen())).body == b"x" * 10
    asked.image_to_image.image.data += b"more"
    with pytest.raises(Failure, match="another request"):
        await joining.answer(asked, Kitchen())
