"""What an upstream returned is hostile: only checked pictures become part of an answer.

A picture that is none is left out and the rest delivered; an order of which nothing is left fails.
"""

import asyncio
import hashlib
from collections.abc import Sequence

from imagegate.runtime import images
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.made import MadePicture
from imagegate.runtime.order import Delivery, Order, Picture
from imagegate.v1 import generation_pb2

# Walking a picture takes 0.3 ms a megabyte, but a hostile one could take half a second.
INSPECTED_ON_LOOP_BYTES = 4 * 1024 * 1024


async def walk(data: bytes) -> images.Inspected:
    """What a picture says of itself, if it is whole. Raises NotAPicture."""
    if len(data) <= INSPECTED_ON_LOOP_BYTES:
        return images.inspect(data)
    return await asyncio.to_thread(images.inspect, data)


class Inspector:
    """Checks deliveries, decoding one picture at a time: a decoded one takes up to 64 MiB."""

    def __init__(self) -> None:
        self._decoding = asyncio.Semaphore(1)

    async def inspect(self, order: Order, delivery: Delivery) -> list[MadePicture]:
        """The pictures of a delivery that are whole; what is odd about them is noted in the order.

        Raises Failure where none is left: CONTENT_REJECTED or BAD_OUTPUT.
        """
        order.phase = "inspect"
        checked: list[MadePicture] = []
        failures: list[Failure] = []
        for picture in delivery.pictures:
            try:
                checked.append(await self._checked(order, picture))
            except Failure as failure:
                failures.append(failure)
        if not checked:
            raise failures[0] if failures else _bad_output("the upstream answered success without a picture")
        _note_equal(order, checked)
        if len(checked) < order.count:
            why = failures[0].message if failures else "the upstream delivered fewer pictures than asked"
            order.note("count", order.count, len(checked), generation_pb2.ACTION_CLAMPED, why)
        return checked

    async def _checked(self, order: Order, picture: Picture) -> MadePicture:
        try:
            seen = await self._look_at(order, picture)
        except images.NotAPicture as error:
            raise _bad_output(f"the upstream answered success, but not with a picture: {error}") from error
        _note_size(order, width=seen.width, height=seen.height)
        told = generation_pb2.Image(
            mime_type=seen.mime_type,
            width=seen.width,
            height=seen.height,
            sha256=hashlib.sha256(picture.data).hexdigest(),
            size_bytes=len(picture.data),
        )
        if picture.seed is not None:
            told.seed = picture.seed
        return MadePicture(picture.data, told)

    async def _look_at(self, order: Order, picture: Picture) -> images.Inspected:
        """What the picture is; decoded only where its size or a flag gives reason to."""
        if picture.filtered:
            raise Failure(
                Reason.CONTENT_REJECTED,
                "the upstream's safety check blanked the picture",
                remedy="word the prompt differently",
                dispatch=Dispatch.ACCEPTED,
            )
        seen = await walk(picture.data)
        if images.needs_decoding(seen, len(picture.data)):
            async with self._decoding:
                appearance = await asyncio.to_thread(images.look, picture.data, seen)
            if appearance is not images.Appearance.NORMAL:
                odd = f"a picture is {appearance.lower()} throughout: the model may have failed silently"
                if order.reject_blank:
                    raise _bad_output(odd)
                order.warnings.append(odd)
        return seen


def _note_size(order: Order, **got: int) -> None:
    """Another size than was sent is an adjustment, told once however many pictures have it."""
    for name, delivered in got.items():
        sent = order.parameters.get(name)
        told = any(a.parameter == name and a.applied == str(delivered) for a in order.adjustments)
        if sent is not None and sent != delivered and not told:
            why = "the upstream delivered another size than it was asked for"
            order.note(name, sent, delivered, generation_pb2.ACTION_SUBSTITUTED, why)


def _note_equal(order: Order, checked: Sequence[MadePicture]) -> None:
    """Pictures of different seeds that are equal byte by byte: the upstream has not looked at the seed."""
    seeds_by_digest: dict[str, set[int]] = {}
    for picture in checked:
        seeds_by_digest.setdefault(picture.told.sha256, set()).add(picture.told.seed)
    if any(len(seeds) > 1 for seeds in seeds_by_digest.values()):
        order.warnings.append("pictures of different seeds are equal: the model may not take a seed")


def _bad_output(message: str) -> Failure:
    return Failure(Reason.BAD_OUTPUT, message, dispatch=Dispatch.ACCEPTED, phase="inspect")
