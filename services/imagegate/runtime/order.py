"""What a provider is asked to make, and what it delivers.

An `Order` is a request after validation and fitting: a provider only has to say it in its
upstream's words. It also keeps the attempt's own record (how far it got), so that a failure at any
point can be told truthfully.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from imagegate.runtime.adjustments import Value, adjusted, text_of
from imagegate.runtime.deadline import Deadline
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.fitting import root_of
from imagegate.runtime.inputs import Inputs
from imagegate.runtime.models import Model
from imagegate.runtime.options import OptionValue
from imagegate.v1 import generation_pb2

# Where the upstream makes one picture per call, this many calls of one order run at a time.
AT_ONCE = 2

# Of the time that is left when the deadline has passed, so much is for the upstream; the rest brings the news home.
LAST_WORD_SHARE = 0.8

# An upstream's id travels on as metadata of gRPC, which takes printable ASCII.
UPSTREAM_ID = re.compile(r"[!-~]{1,128}")

# The further along, the more likely that it was charged; not told is as good as unknown.
RISK = (Dispatch.NOT_SENT, Dispatch.REFUSED, Dispatch.ACCEPTED, Dispatch.UNSPECIFIED, Dispatch.UNKNOWN)
# Failures that need not meet the next picture of the same order.
PASSING = frozenset({Reason.UPSTREAM_ERROR, Reason.OVERLOADED, Reason.TIMEOUT, Reason.BAD_OUTPUT})


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture as the upstream gave it: hostile until `images.inspect` has seen it.

    `seed` is the one that makes it again, None where the model takes none. `filtered` is the
    upstream's own word that its safety check blanked it.
    """

    data: bytes
    seed: int | None = None
    filtered: bool = False


@dataclass(frozen=True, slots=True)
class Delivery:
    """What an upstream made. Times are seconds, None where the phase did not happen."""

    pictures: Sequence[Picture]
    upstream_provider: str = ""
    upstream_model: str = ""  # where it is another than the catalogue says: an alias that the upstream resolved
    sandbox: bool = False
    queue_seconds: float | None = None
    run_seconds: float | None = None
    download_seconds: float | None = None


async def _tell_nobody(_upstream_id: str) -> None:
    """An order that nobody watches."""


@dataclass(slots=True)
class Order:
    """A fitted request and the record of the attempt to fulfil it.

    `parameters` holds what goes to the model, by request field name; what is absent is not sent.
    The provider has until `deadline`; the `reserve` (seconds) that comes after is kept back for cancelling upstream.
    """

    model: Model
    prompt: str
    parameters: Mapping[str, Value]
    deadline: Deadline
    reserve: float = 3.0
    count: int = 1
    # What the request brings along besides words.
    inputs: Inputs = field(default_factory=Inputs)
    # What goes along by the upstream's own names, as the model lets it through.
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    # How the pictures are handed over, whatever the upstream makes of it.
    output: generation_pb2.Output = field(default_factory=generation_pb2.Output)
    request_id: str = ""
    # Names of the request fields that the caller set; all other parameters are the catalogue's defaults, or drawn.
    asked: frozenset[str] = frozenset()
    # Names of request fields that may not be changed any more; None forbids every change.
    kept: frozenset[str] | None = frozenset()
    tell_upstream_id: Callable[[str], Awaitable[None]] = _tell_nobody
    # Hears how the work goes; None where nobody listens, so that nothing is asked for in vain.
    watch: Callable[[generation_pb2.Progress], None] | None = None
    # Whether a picture of one colour throughout is no picture.
    reject_blank: bool = False
    adjustments: list[generation_pb2.Adjustment] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    # Pictures that were encoded again.
    recoded: int = 0
    phase: str = "submit"
    dispatch: Dispatch = Dispatch.NOT_SENT
    upstream_id: str = ""
    # Whether the upstream charges for it, where its own word is known (a cancel that it confirmed).
    billed: bool | None = None
    _told: generation_pb2.Progress = field(default_factory=generation_pb2.Progress)
    # The parameters before the provider changed any: what it costs was told by these.
    fitted: Mapping[str, Value] = field(init=False)

    def __post_init__(self) -> None:
        self.fitted = self.parameters

    def seed(self, index: int = 0) -> int | None:
        """The seed of picture `index` (seed + index, within the model's range); None where it takes none."""
        first = self.parameters.get("seed")
        if first is None:
            return None
        limit = self.model.parameters["seed"].maximum
        seed = int(first) + index
        return seed if limit is None else seed % (int(limit) + 1)

    def sending(self) -> None:
        """The submission leaves now: from here on, silence tells nothing."""
        self.phase = "submit"
        if self.dispatch is not Dispatch.ACCEPTED:  # a further picture of an order that was accepted already
            self.dispatch = Dispatch.UNKNOWN

    async def accepted(self, upstream_id: str) -> None:
        """The upstream took the work under `upstream_id`; the caller is told at once.

        An id that cannot be told is as good as none: the work was taken all the same.
        """
        self.dispatch = Dispatch.ACCEPTED
        if UPSTREAM_ID.fullmatch(upstream_id) and not self.upstream_id:
            self.upstream_id = upstream_id
            await self.tell_upstream_id(upstream_id)
            told = generation_pb2.Progress()
            told.CopyFrom(self._told)
            self._tell(told)

    def tell(
        self,
        phase: "generation_pb2.Phase.ValueType",
        *,
        queue_position: int | None = None,
        ready_in: float | None = None,
        step: int | None = None,
        steps: int | None = None,
        preview: generation_pb2.Image | None = None,
    ) -> None:
        """Tell whoever watches how the work goes; the same twice is told once. `ready_in` is in seconds.

        Of several pictures that are made side by side it tells of the one that moved last.
        """
        if self.watch is None:
            return
        told = generation_pb2.Progress(
            phase=phase, queue_position=queue_position, step=step, steps=steps, preview=preview
        )
        if ready_in is not None:
            told.ready_in.FromMilliseconds(round(ready_in * 1000))
        self._tell(told)

    def _tell(self, progress: generation_pb2.Progress) -> None:
        progress.upstream_id = self.upstream_id
        if self.watch is not None and progress != self._told:
            self._told = progress
            self.watch(progress)

    def last_word_seconds(self, longest: float) -> float:
        """How long cancelling upstream and hearing what came of it may take: at most `longest`, and so that the caller
        still hears of it.
        """
        return min(longest, LAST_WORD_SHARE * (self.deadline.remaining() + self.reserve))

    def change(
        self,
        parameter: str,
        applied: Value | None,
        action: "generation_pb2.Action.ValueType",
        why: str,
        *,
        is_the_same: bool = False,
    ) -> None:
        """Send `applied`, or nothing where it is None, in the place of what was fitted, before anything is sent.

        It is told where the caller asked for the parameter, once, from what was asked to what is sent; `is_the_same`
        says that it is the same in other words, which is no reason to refuse. Raises Failure as `adjust` does.
        """
        requested: Value = self.parameters[parameter]
        rest = {name: value for name, value in self.parameters.items() if name != parameter}
        self.parameters = rest if applied is None else {**rest, parameter: applied}
        if parameter not in self.asked:
            return
        for told in [each for each in self.adjustments if each.parameter == parameter]:
            requested = told.requested
            self.adjustments.remove(told)
        if applied is not None and text_of(applied) == text_of(requested):
            return  # another change had led away from what was asked, and this one leads back
        record = self.note if is_the_same else self.adjust
        record(parameter, requested, "" if applied is None else applied, action, why)

    def adjust(
        self, parameter: str, requested: Value, applied: Value, action: "generation_pb2.Action.ValueType", why: str
    ) -> None:
        """Record a change that only this provider can know of, before anything is sent.

        Raises Failure(UNSUPPORTED) where the request forbids it.
        """
        if self.kept is None or root_of(parameter) in self.kept:
            raise Failure(
                Reason.UNSUPPORTED,
                f"{self.model.display_name} cannot take {parameter} as asked, and the request forbids a change: {why}",
                dispatch=Dispatch.NOT_SENT,
            )
        self.note(parameter, requested, applied, action, why)

    def note(
        self, parameter: str, requested: Value, applied: Value, action: "generation_pb2.Action.ValueType", why: str
    ) -> None:
        """Record a change that is no reason to refuse: the same in other words, or found in what was delivered."""
        self.adjustments.append(adjusted(parameter, requested, applied, action, why))


async def one_by_one(order: Order, make: Callable[[int], Awaitable[Picture]]) -> list[Picture]:
    """The pictures of an order whose upstream makes one per call, `AT_ONCE` at a time.

    After a failure that the next picture would meet too no further call begins. Delivers what exists
    where only some failed; where all did, raises the failure that got furthest, since that one may
    have cost something. Leaving cancels the calls that are still under way.
    """
    slots = asyncio.Semaphore(AT_ONCE)
    failures: list[Failure] = []

    async def one(index: int) -> Picture | None:
        async with slots:
            if any(failure.reason not in PASSING for failure in failures):
                return None
            try:
                return await make(index)
            except Failure as failure:
                failures.append(failure)
                return None

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(index)) for index in range(order.count)]
    pictures = [picture for task in tasks if (picture := task.result()) is not None]
    if not pictures:
        raise max(failures, key=lambda failure: (RISK.index(failure.dispatch), failure.billed is not False))
    return pictures
