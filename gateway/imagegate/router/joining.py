"""The same request twice is made once: calls with one idempotency key share one journey and its answer."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from google.rpc import code_pb2

from imagegate.router.payment import Charge, charge_of
from imagegate.router.router import Answered
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.v1 import generation_pb2

# A key holds for so long after its call began. Seconds.
KEPT_SECONDS = 900.0
# Answers are kept up to so many bytes in all; of those that had to go only the key remains.
MAX_BYTES = 256 * 1024 * 1024
MAX_KEYS = 10_000


@dataclass(slots=True)
class _Shared:
    """One call that others may join; `task` is None once its answer had to go."""

    fingerprint: bytes
    until: float
    task: asyncio.Task[Answered] | None
    waiting: int = 0
    bytes_kept: int = 0


class Joining:
    """The keys of the last quarter of an hour, on this replica. `clock` is monotonic."""

    def __init__(self, clock: Callable[[], float], *, max_bytes: int = MAX_BYTES) -> None:
        self._clock = clock
        self._max_bytes = max_bytes
        self._shared: OrderedDict[str, _Shared] = OrderedDict()
        # Those whose answers are kept, the oldest first, and the bytes of these.
        self._with_answers: OrderedDict[str, _Shared] = OrderedDict()
        self._bytes = 0

    def __repr__(self) -> str:
        return f"<Joining {len(self._shared)} keys>"

    async def answer(
        self, request: generation_pb2.GenerateRequest, make: Callable[[], Awaitable[Answered]]
    ) -> Answered:
        """The answer of `make`, or that of an earlier call with the same key.

        The work goes on while anybody waits for it. A failure is not remembered, unless nobody knows whether it was
        paid for. Raises Failure: that of the work, or INVALID_REQUEST (FAILED_PRECONDITION) where the key belongs to
        another request or its answer is no longer kept.
        """
        self._forget_old()
        key, fingerprint = request.idempotency_key, _fingerprint(request)
        shared = self._shared.get(key)
        if shared is None:
            task = asyncio.ensure_future(make())
            shared = self._shared[key] = _Shared(fingerprint, self._clock() + KEPT_SECONDS, task)
            task.add_done_callback(lambda done: self._done(key, done))
        if shared.fingerprint != fingerprint:
            raise _refused("this idempotency key belongs to another request", "use a new key for a new request")
        if shared.task is None:
            message = "this idempotency key was answered, and its pictures are no longer kept"
            raise _refused(message, "use a new key to make them again")
        return await self._wait(key, shared, shared.task)

    async def _wait(self, key: str, shared: _Shared, task: asyncio.Task[Answered]) -> Answered:
        shared.waiting += 1
        try:
            return await asyncio.shield(task)
        finally:
            shared.waiting -= 1
            if not shared.waiting and not task.done():  # the last one has left, and nobody may join what ends
                self._shared.pop(key, None)
                task.cancel()

    def _done(self, key: str, task: asyncio.Task[Answered]) -> None:
        """The work has ended: keep what a repetition must get, and forget the rest."""
        failure = None if task.cancelled() else task.exception()
        shared = self._shared.get(key)
        if shared is None or shared.task is not task:
            return
        if isinstance(failure, Failure) and _may_be_paid(failure):
            return
        if failure is not None:
            del self._shared[key]
            return
        shared.bytes_kept = len(task.result().body)
        self._with_answers[key] = shared
        self._bytes += shared.bytes_kept
        self._drop_beyond_bounds()

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
            is_needed = oldest.until > now and len(self._shared) <= MAX_KEYS
            if is_needed or (oldest.task is not None and not oldest.task.done()):
                return
            del self._shared[key]
            self._with_answers.pop(key, None)
            self._bytes -= oldest.bytes_kept


def _fingerprint(request: generation_pb2.GenerateRequest) -> bytes:
    """What makes two requests the same: everything but their ids."""
    same = generation_pb2.GenerateRequest()
    same.CopyFrom(request)
    same.ClearField("request_id")
    return hashlib.sha256(same.SerializeToString(deterministic=True)).digest()


def _may_be_paid(failure: Failure) -> bool:
    """Whether there may be a finished picture somewhere: trying again would pay for a second one."""
    made = [attempt for attempt in failure.attempts if not attempt.HasField("skipped")]
    if not made:
        return False
    last = made[-1]
    told = Failure(
        Reason.from_proto(last.reason),
        last.message,
        dispatch=Dispatch.from_proto(last.dispatch),
        billed=last.billed if last.HasField("billed") else None,
    )
    return charge_of(told) is Charge.UNKNOWN


def _refused(message: str, remedy: str) -> Failure:
    return Failure(Reason.INVALID_REQUEST, message, remedy=remedy, code=code_pb2.FAILED_PRECONDITION)
