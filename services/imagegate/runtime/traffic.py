"""The calls of a process, together: how many there are, and what memory requests and unread answers take."""

import asyncio
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any, Self

from google.protobuf.message import DecodeError
from grpc.aio import EOF

from imagegate.runtime.errors import Violation, invalid_request
from imagegate.runtime.incoming import Incoming
from imagegate.runtime.intake import Intake
from imagegate.runtime.reply import Reply, no_room
from imagegate.runtime.server_limits import MIB, PREFIX, ServerLimits
from imagegate.runtime.shape import SMALL_BYTES, has_more_fields
from imagegate.runtime.unread import Unread

Parse = Callable[[bytes], Any]


class Traffic:
    """What is under way in one process, within its `limits`: one for all of its ports."""

    def __init__(self, limits: ServerLimits | None = None) -> None:
        self.limits = limits or ServerLimits()
        self.calls = 0
        self.intake = Intake(self.limits.requests_mib * MIB)
        self._incoming = Incoming(self.intake, self.limits.request_bytes, self.limits.request_seconds)
        self.unread = Unread(self.limits.answers_mib * MIB, monotonic)

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """Within the limits that the environment says. Raises SettingsError."""
        return cls(ServerLimits.read(environ, PREFIX))

    @property
    def in_short(self) -> Mapping[str, tuple[float, float]]:
        """What is limited -> how much of it there is now, and may be."""
        return {
            "calls": (self.calls, self.limits.calls),
            "request_bytes": (self.intake.taken, self.limits.requests_mib * MIB),
            "answer_bytes": (self.unread.handed + self.unread.waiting, self.limits.answers_mib * MIB),
        }

    def enter(self) -> None:
        """One call more, until it `leave`s. Raises Failure(BUSY) where there are too many."""
        if self.calls >= self.limits.calls:
            raise no_room(f"{self.limits.calls:,} calls are under way here, which is as many as there may be")
        self.calls += 1

    def leave(self) -> None:
        """One call less."""
        self.calls -= 1

    def reply(self, context: Any, serializer: Callable[[Any], bytes] | None) -> Reply:
        """What the call sends. It is counted until gRPC is done with it."""
        reply = Reply(context, self.unread, serializer)
        context.add_done_callback(lambda _: self._done(context, reply))
        return reply

    async def receive(self, reply: Reply, parse: Parse) -> tuple[Any, int]:
        """The message of a call and its size, which takes room until it is given `back`.

        Raises Failure: BUSY where there is no room, TIMEOUT where it does not come, INVALID_REQUEST where it is none.
        """
        if self.unread.is_stalled(reply.connection):
            raise no_room("answers wait on this connection to be read", "read answers as they come")
        message = await self._incoming.read(reply)
        if message is EOF:
            raise invalid_request([Violation("", "there is no message in this call")])
        size = len(message)
        if not self.intake.take(size):
            raise no_room(f"the requests under way leave no room for one of {size:,} bytes")
        try:
            return self._parsed(message, parse), size
        except BaseException:
            self.back(size)
            raise

    def back(self, size: int) -> None:
        """A message of this size has gone."""
        self.intake.give_back(size)

    def _parsed(self, message: bytes, parse: Parse) -> Any:
        kind = getattr(parse, "__self__", None)  # of the generated classes' FromString
        most = self.limits.request_fields
        if len(message) > SMALL_BYTES and kind is not None and has_more_fields(message, kind.DESCRIPTOR, most):
            raise invalid_request([Violation("", f"holds more than {most:,} values")])
        try:
            return parse(message)
        except DecodeError:
            told = "is no message of the kind that this method takes, or is nested too deeply"
            raise invalid_request([Violation("", told)]) from None

    def _done(self, context: Any, reply: Reply) -> None:
        """gRPC keeps what was left behind for as long as the call might go on for its caller."""
        if not reply.is_left_behind:
            reply.end()
            return
        seconds = context.time_remaining()
        longest = self.limits.age_seconds + self.limits.age_grace_seconds  # then the connection ends
        asyncio.get_running_loop().call_later(longest if seconds is None else min(seconds, longest), reply.end)
