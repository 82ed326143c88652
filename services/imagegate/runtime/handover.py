"""Checked pictures become what the caller asked to be handed: the format, the bytes, or only what is known of them.

They were paid for, so none is refused here: whatever cannot be had is told as an adjustment.
"""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from imagegate.runtime import images
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.images import Format
from imagegate.runtime.made import MadePicture
from imagegate.runtime.order import Order
from imagegate.runtime.output import FORMATS, budget, fair_shares
from imagegate.runtime.recoding import Encoded, fitted, to_png
from imagegate.v1 import generation_pb2

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class _Piece:
    """A picture as the upstream gave it, and in the format that was asked for; None where that cannot be had.

    `why` says why it is not handed over as it is wanted, if it comes to that.
    """

    image: generation_pb2.Image
    asked: Format | None
    given: Encoded
    wanted: Encoded | None
    why: str

    @property
    def size(self) -> int:
        """Bytes that it would like to have."""
        return len((self.wanted or self.given).data)


class Handover:
    """Packs the pictures of orders, decoding one at a time: a large one takes hundreds of megabytes."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(1)

    async def hand_over(self, order: Order, pictures: Sequence[MadePicture]) -> list[MadePicture]:
        """What `pack` makes of them. Their files join them for that only where something has to be changed."""
        if not _are_as_asked(order, [each.told for each in pictures]):
            packed = await self.pack(order, [each.whole() for each in pictures])
            return [MadePicture.of(image) for image in packed]
        if order.output.delivery == generation_pb2.DELIVERY_NONE:
            return [MadePicture(b"", each.told) for each in pictures]
        return list(pictures)

    async def pack(self, order: Order, pictures: Sequence[generation_pb2.Image]) -> list[generation_pb2.Image]:
        """The pictures as the order's `output` has them; what was changed without having been asked for is noted.

        One that turns out not to decode is none, and left out. Raises Failure(BAD_OUTPUT) where none is left.
        """
        packed = list(pictures)
        if not _are_as_asked(order, packed):
            asked = FORMATS.get(order.output.format)
            packed = await self._changed(order, packed, asked, _budget(order, len(packed)))
        if order.output.delivery == generation_pb2.DELIVERY_NONE:
            for image in packed:
                image.ClearField("data")
        return packed

    async def _changed(
        self, order: Order, pictures: Sequence[generation_pb2.Image], asked: Format | None, total: int
    ) -> list[generation_pb2.Image]:
        pieces: list[_Piece] = []
        packed: list[generation_pb2.Image] = []
        broken = ""
        for number, image in enumerate(pictures, start=1):
            which = f" (picture {number} of {len(pictures)})" if len(pictures) > 1 else ""
            try:
                pieces.append(await self._wanted(order, image, asked, total, which))
            except images.NotAPicture as error:
                broken = str(error)
        for piece, share in zip(pieces, fair_shares([piece.size for piece in pieces], total), strict=True):
            try:
                handed = await self._fitted(piece, share)
            except images.NotAPicture as error:
                broken = str(error)
                continue
            _note(order, piece, handed)
            packed.append(_with(piece.image, handed))
        if not packed:
            raise Failure(Reason.BAD_OUTPUT, broken, dispatch=Dispatch.ACCEPTED)
        if broken:
            order.note("count", len(pictures), len(packed), generation_pb2.ACTION_CLAMPED, broken)
        return packed

    async def _wanted(
        self, order: Order, image: generation_pb2.Image, asked: Format | None, total: int, which: str
    ) -> _Piece:
        """The picture in the format that was asked for, unless that is too large or there is no time for it: better
        another format than none at all. Raises NotAPicture.
        """
        given = Encoded.given(image)
        limit = min(total, images.MAX_BYTES)
        why = f"the pictures of this answer may have {total:,} bytes together, and each {limit:,}{which}"
        if _is(asked, image):
            return _Piece(image, asked, given, given, why)
        work: Callable[[], Encoded | None] = partial(to_png, given, limit)
        if asked != "PNG":
            work = partial(fitted, given, asked, images.MAX_BYTES)
        try:
            async with asyncio.timeout(order.deadline.remaining() + order.reserve / 2):
                return _Piece(image, asked, given, await self._in_turn(work), why)
        except TimeoutError:
            return _Piece(image, asked, given, None, f"there was no time left to convert it{which}")

    async def _fitted(self, piece: _Piece, share: int) -> Encoded:
        """What fits, and is most like what was asked for. Raises NotAPicture."""
        if piece.wanted is not None and len(piece.wanted.data) <= share:
            return piece.wanted
        gains_nothing = piece.asked == "PNG" or piece.wanted is None  # by being encoded once more
        if gains_nothing and len(piece.given.data) <= share:
            return piece.given
        return await self._in_turn(partial(fitted, piece.given, piece.asked, share, piece.wanted))

    async def _in_turn(self, work: Callable[[], Made]) -> Made:
        """Do it in a thread, when no other picture is decoded there. Whoever leaves meanwhile lets no other one in."""
        await self._turns.acquire()
        running = asyncio.get_running_loop().run_in_executor(None, work)
        running.add_done_callback(lambda _: self._turns.release())
        return await asyncio.shield(running)


def _are_as_asked(order: Order, images: Sequence[generation_pb2.Image]) -> bool:
    """Whether they are in the format that was asked for, and fit. Their files are not looked at."""
    asked = FORMATS.get(order.output.format)
    is_small = sum(image.size_bytes for image in images) <= _budget(order, len(images))
    return is_small and all(_is(asked, image) for image in images)


def _budget(order: Order, pictures: int) -> int:
    rest = generation_pb2.GenerateResponse(adjustments=order.adjustments, warnings=order.warnings)
    return budget(order.output, pictures, rest.ByteSize())


def _is(asked: Format | None, image: generation_pb2.Image) -> bool:
    return asked is None or image.mime_type == f"image/{asked.lower()}"


def _with(image: generation_pb2.Image, handed: Encoded) -> generation_pb2.Image:
    """`image`, which has these bytes now."""
    if handed.step is not None:
        image.data, image.mime_type = handed.data, handed.seen.mime_type
        image.width, image.height = handed.seen.width, handed.seen.height
        image.sha256, image.size_bytes = hashlib.sha256(handed.data).hexdigest(), len(handed.data)
    return image


def _note(order: Order, piece: _Piece, handed: Encoded) -> None:
    """Tell what is not as it was asked for. A format that was asked for, and could be had, is no change."""
    order.recoded += handed.step is not None
    if handed is not piece.wanted:
        is_other = piece.asked not in (None, handed.seen.format)
        requested = piece.wanted or (piece.asked if is_other and piece.asked else piece.given)
        name = "output.format" if is_other else "output.max_bytes"
        order.note(name, str(requested), str(handed), generation_pb2.ACTION_SUBSTITUTED, piece.why)
    for side in ("width", "height"):
        before, after = getattr(piece.given.seen, side), getattr(handed.seen, side)
        if before != after:
            order.note(side, before, after, generation_pb2.ACTION_SUBSTITUTED, piece.why)
