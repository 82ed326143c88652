"""The same request twice is made once: calls with one idempotency key share one journey and its answer."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from google.rpc import code_pb2

from imagegate.router.router import Answered
from imagegate.runtime.errors import Failure, Reason
from imagegate.v1 import generation_pb2, terms_pb2

# A key holds for so long after its call began. Seconds.
KEPT_SECONDS = 900.0
# Answers are kept up to so many bytes in all; of those that had to go only the key remains.
# The SDK draws a key for every order, and few are ever repeated: keys alone, a third of a kilobyte each, hold for the
# promised time at a hundred calls a second.
MAX_BYTES = 256 * 1024 * 1024
MAX_KEYS = 100_000
# What an answer takes beside its bytes, so that very many without pictures are bounded as well.
OVERHEAD_BYTES = 2048


class Work(Protocol):
    """What one call would have made, if no other has begun it."""

    async def make(self) -> Answered:
        """The answer. Raises Failure."""

    def unsettled(self) -> Failure | None:
        """What to tell a repetition, once the work has ended without an answer; None where it may be made again."""


@dataclass(slots=True)
class _Shared:
    """One call that others may join.

    Afterwards `task` has its answer, or `failure` says why it must not be made again; neither is left where the answer
    had to go.
    """

    fingerprint: bytes
    until: float
    task: asyncio.Task[Answered] | None
    failure: Failure | None = None
    waiting: int = 0
    is_ending: bool = False  # nobody waited any more, so it was cancelled
    is_under_way: bool = True
    bytes_kept: int = 0

    def may_be_made_again(self, fingerprint: bytes, request: generation_pb2.GenerateRequest) -> bool:
        """Whether a repetition accepts what the failure is kept for: to be charged a second time."""
        accepts = request.routing.payment == terms_pb2.PAYMENT_AVAILABLE
        return self.failure is not None and self.fingerprint == fingerprint and accepts

    def joined(self, fingerprint: bytes) -> asyncio.Task[Answered]:
        """The work, under way or done. Raises Failure where there is none to join."""
        if self.fingerprint != fingerprint:
            raise _refused("this idempotency key belongs to another request", "use a new key for a new request")
        if self.failure is not None:
            raise replace(self.failure)  # another one each time: raised, it would keep the call that it was raised in
        if self.task is None:
            message = "this idempotency key was answered, and its pictures are no longer kept"
            raise _refused(message, "use a new key to make them again")
        return self.task


class Joining:
    """The keys of the last quarter of an hour, on this replica. `clock` is monotonic."""

    def __init__(self, clock: Callable[[], float], *, max_bytes: int = MAX_BYTES, max_keys: int = MAX_KEYS) -> None:
        self._clock = clock
        self._max_bytes = max_bytes
        self._max_keys = max_keys
        self._shared: OrderedDict[str, _Shared] = OrderedDict()
        # Those whose answers are kept, the oldest first, and the bytes of these.
        self._with_answers: OrderedDict[str, _Shared] = OrderedDict()
        self._bytes = 0

    def __repr__(self) -> str:
        return f"<Joining {len(self._shared)} keys>"

    async def answer(self, request: generation_pb2.GenerateRequest, work: Work, owner: str = "") -> Answered:
        """The answer of `work`, or that of an earlier call of the same `owner` with the same key.

        The work goes on while anybody waits for it; whoever joined and has more time than the first begins anew where
        that was too short. A failure is remembered only where it is unsettled: a repetition
        might be charged a second time. Raises Failure: that of the work, or INVALID_REQUEST (FAILED_PRECONDITION)
        where the key belongs to another request or its answer is no longer kept.
        """
        self._forget_old()
        # A name holds no slash, so no two owners share a key.
        key, fingerprint = f"{owner}/{request.idempotency_key}", _fingerprint(request)
        while True:
            shared = self._shared.get(key)
            if shared is None or shared.may_be_made_again(fingerprint, request):
                return await self._wait(*self._begin(key, fingerprint, work))
            task = shared.joined(fingerprint)
            if shared.is_ending:
                await asyncio.wait((task,))
                continue
            try:
                return await self._wait(shared, task)
            except Failure as failure:
                # Where the time of whoever came first was over there may be more of ours.
                if not _ran_out_of_time(failure) or self._shared.get(key) is shared:
                    raise

    def _begin(self, key: str, fingerprint: bytes, work: Work) -> tuple[_Shared, asyncio.Task[Answered]]:
        self._shared.pop(key, None)
        task = asyncio.ensure_future(work.make())
        shared = self._shared[key] = _Shared(fingerprint, self._clock() + KEPT_SECONDS, task)
        task.add_done_callback(lambda done: self._done(key, shared, work, done))
        return shared, task

    async def _wait(self, shared: _Shared, task: asyncio.Task[Answered]) -> Answered:
        shared.waiting += 1
        try:
            return await asyncio.shield(task)
        finally:
            shared.waiting -= 1
            if not shared.waiting and not task.done():  # the last one has left, and nobody may join what ends
                shared.is_ending = True
                task.cancel()
                await asyncio.wait((task,))

    def _done(self, key: str, shared: _Shared, work: Work, task: asyncio.Task[Answered]) -> None:
        """The work has ended: keep what a repetition must get, and forget the rest."""
        shared.is_under_way = shared.is_ending = False
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is None:
            shared.bytes_kept = len(task.result().body) + OVERHEAD_BYTES
            self._with_answers[key] = shared
            self._bytes += shared.bytes_kept
            self._drop_beyond_bounds()
        elif (unsettled := work.unsettled()) is not None:
            shared.task, shared.failure = None, replace(error) if isinstance(error, Failure) else unsettled
        else:
            del self._shared[key]

    def _drop_beyond_bounds(self) -> None:
        """Drop the oldest answers beyond the bytes that are kept; their keys stay."""
        while self._bytes > self._max_bytes and self._with_answers:
            _, oldest = self._with_answers.popitem(last=False)
            self._bytes -= oldest.bytes_kept
            oldest.bytes_kept, oldest.task = 0, None

    def _forget_old(self) -> None:
        """Forget the oldest keys beyond their time or number; one under way stays, and those after it."""
        now = self._clock()
        while self._shared:
            key, oldest = next(iter(self._shared.items()))
            is_needed = oldest.until > now and len(self._shared) <= self._max_keys
            if is_needed or oldest.is_under_way:
                return
            del self._shared[key]
            self._with_answers.pop(key, None)
            self._bytes -= oldest.bytes_kept


def _fingerprint(request: generation_pb2.GenerateRequest) -> bytes:
    """What makes two requests the same: everything but their ids, and what may be paid for them."""
    same = generation_pb2.GenerateRequest()
    same.CopyFrom(request)
    same.ClearField("request_id")
    same.routing.ClearField("payment")
    if not same.routing.ByteSize():
        same.ClearField("routing")
    return hashlib.sha256(same.SerializeToString(deterministic=True)).digest()


def _ran_out_of_time(failure: Failure) -> bool:
    """Whether more time might have helped: it was over, or what was left of it was too little for somebody."""
    skips = {attempt.skipped.reason for attempt in failure.attempts if attempt.HasField("skipped")}
    return failure.code == code_pb2.DEADLINE_EXCEEDED or Reason.DEADLINE_TOO_SHORT.to_proto() in skips


def _refused(message: str, remedy: str) -> Failure:
    return Failure(Reason.INVALID_REQUEST, message, remedy=remedy, code=code_pb2.FAILED_PRECONDITION)
