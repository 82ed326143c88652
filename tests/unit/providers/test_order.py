"""An order's own record, and the pictures of one whose upstream makes one per call."""

import asyncio

import pytest

from imagegate.runtime.deadline import Deadline
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.order import AT_ONCE, Order, Picture, one_by_one
from imagegate.testing import SCRIPTED_MODEL
from imagegate.v1 import generation_pb2


def an_order(count=1):
    return Order(SCRIPTED_MODEL, "a fox", {}, Deadline.after(20), count=count)


def making(script):
    """A `make` that does what `script` says of each picture, and the list of those that were begun."""
    begun = []

    async def make(index):
        begun.append(index)
        await asyncio.sleep(0)
        if isinstance(script[index], Exception):
            raise script[index]
        return Picture(script[index])

    return make, begun


def failure(reason=Reason.UPSTREAM_ERROR, dispatch=Dispatch.REFUSED, billed=None):
    return Failure(reason, "no", dispatch=dispatch, billed=billed)


async def test_pictures_are_in_order_and_few_at_a_time():
    """R2: picture i stands at place i, however many are made at once."""
    running, most = 0, 0

    async def make(index):
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(10 - index):
            await asyncio.sleep(0)
        running -= 1
        return Picture(bytes([index]))

    pictures = await one_by_one(an_order(6), make)
    assert [picture.data for picture in pictures] == [bytes([index]) for index in range(6)]
    assert most == AT_ONCE


async def test_what_exists_is_delivered():
    """A failure that passes fails its own picture only."""
    make, begun = making([failure(), b"one", b"two"])
    assert [picture.data for picture in await one_by_one(an_order(3), make)] == [b"one", b"two"]
    assert begun == [0, 1, 2]


async def test_a_failure_that_every_picture_would_meet():
    """Nothing more begins after a failure that the next picture would meet too."""
    refused = failure(Reason.CREDENTIALS_REJECTED)
    make, begun = making([refused] * 8)
    with pytest.raises(Failure) as caught:
        await one_by_one(an_order(8), make)
    assert caught.value is refused
    assert begun == [0, 1]


@pytest.mark.parametrize(
    ("less", "more"),
    [
        (failure(dispatch=Dispatch.NOT_SENT), failure(dispatch=Dispatch.REFUSED)),
        (failure(dispatch=Dispatch.REFUSED), failure(dispatch=Dispatch.ACCEPTED)),
        (failure(dispatch=Dispatch.ACCEPTED), failure(dispatch=Dispatch.UNKNOWN)),
        (failure(dispatch=Dispatch.ACCEPTED, billed=False), failure(dispatch=Dispatch.ACCEPTED, billed=True)),
        (failure(dispatch=Dispatch.ACCEPTED, billed=False), failure(dispatch=Dispatch.ACCEPTED)),
    ],
)
async def test_the_failure_that_may_have_cost_most_is_told(less, more):
    """R5: where all pictures failed, what may have been charged is not hidden behind what was not."""
    for script in ([less, more], [more, less]):
        with pytest.raises(Failure) as caught:
            await one_by_one(an_order(2), making(script)[0])
        assert caught.value is more


async def test_an_id_that_cannot_be_told_is_not_kept():
    """The work was accepted whatever its id looks like; the first id that can be told is the order's."""
    told = []

    async def tell(upstream_id):
        told.append(upstream_id)

    order = an_order()
    order.tell_upstream_id = tell
    for upstream_id in ("", "café", "a b", "a\tb", "x" * 129, "\ud800"):
        await order.accepted(upstream_id)
        assert (order.dispatch, order.upstream_id, told) == (Dispatch.ACCEPTED, "", [])
    for upstream_id in ("x" * 128, "another"):
        await order.accepted(upstream_id)
    assert (order.upstream_id, told) == ("x" * 128, ["x" * 128])
    order.sending()
    assert order.dispatch is Dispatch.ACCEPTED


def test_progress_is_told_to_whoever_watches():
    """R9: each piece once, with the upstream's id where there is one; without anybody who watches nothing happens."""
    told, order = [], an_order()
    order.tell(generation_pb2.PHASE_RUNNING, step=1, steps=4)
    order.watch = told.append
    for _ in range(2):
        order.tell(generation_pb2.PHASE_WARMING, ready_in=1.5)
    order.upstream_id = "up-1"
    preview = generation_pb2.Image(data=b"x", mime_type="image/jpeg")
    order.tell(generation_pb2.PHASE_RUNNING, step=0, steps=4, preview=preview)
    warming, running = told
    assert (warming.phase, warming.ready_in.ToMilliseconds()) == (generation_pb2.PHASE_WARMING, 1500)
    assert not warming.HasField("step")
    assert running == generation_pb2.Progress(
        phase=generation_pb2.PHASE_RUNNING, step=0, steps=4, preview=preview, upstream_id="up-1"
    )


async def test_an_id_is_told_with_the_progress_there_was():
    """R5, R9: the upstream's id reaches whoever watches the moment it is there, and nothing that was told is lost."""
    told, order = [], an_order()
    order.watch = told.append
    order.tell(generation_pb2.PHASE_QUEUED, queue_position=3)
    await order.accepted("up-1")
    assert [(each.queue_position, each.upstream_id) for each in told] == [(3, ""), (3, "up-1")]


def a_fitted_order(asked, kept=frozenset()):
    order = an_order()
    order.parameters, order.asked, order.kept = {"steps": 4, "seed": 7}, frozenset(asked), kept
    return order


def test_a_change_is_told_where_it_was_asked_for():
    """R1: what is sent in another's place is told to who asked for it, and to nobody else."""
    order = a_fitted_order({"steps"})
    order.change("steps", 2, generation_pb2.ACTION_CLAMPED, "why")
    order.change("seed", None, generation_pb2.ACTION_DROPPED, "why")
    assert order.parameters == {"steps": 2}
    assert order.seed() is None
    (told,) = order.adjustments
    assert (told.parameter, told.requested, told.applied) == ("steps", "4", "2")


def test_a_second_change_is_told_as_one():
    """R1: an adjustment leads from what was asked to what is sent, whoever made how many changes between."""
    order = a_fitted_order({"steps"})
    order.note("steps", 50, 4, generation_pb2.ACTION_CLAMPED, "the model takes 1 to 4")
    order.note("width", 3000, 2048, generation_pb2.ACTION_CLAMPED, "another")
    order.change("steps", None, generation_pb2.ACTION_DROPPED, "why")
    assert [(each.parameter, each.requested, each.applied) for each in order.adjustments] == [
        ("width", "3000", "2048"),
        ("steps", "50", ""),
    ]


def test_a_change_back_is_none():
    """R1: where a second change leads back to what was asked nothing is told."""
    order = a_fitted_order({"steps"})
    order.note("steps", 50, 4, generation_pb2.ACTION_CLAMPED, "the model takes 1 to 4")
    order.change("steps", 50, generation_pb2.ACTION_TRANSLATED, "why")
    assert (order.parameters["steps"], order.adjustments) == (50, [])


@pytest.mark.parametrize("kept", [None, frozenset({"steps"})])
def test_a_forbidden_change_is_refused_unless_it_says_the_same(kept):
    """R1: a request may forbid changes, but not that the same is said in other words."""
    with pytest.raises(Failure, match="steps") as refused:
        a_fitted_order({"steps"}, kept).change("steps", 2, generation_pb2.ACTION_CLAMPED, "why")
    assert (refused.value.reason, refused.value.dispatch) == (Reason.UNSUPPORTED, Dispatch.NOT_SENT)
    a_fitted_order((), kept).change("steps", 2, generation_pb2.ACTION_CLAMPED, "why")
    order = a_fitted_order({"steps"}, kept)
    order.change("steps", None, generation_pb2.ACTION_DROPPED, "why", is_the_same=True)
    assert len(order.adjustments) == 1
