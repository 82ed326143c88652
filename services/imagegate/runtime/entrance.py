"""Where the pictures of a request come in: each is looked at once, and goes on clean.

Whatever gave it, data, a pose template or an address, a provider gets data: one whole PNG, JPEG or WEBP, upright and
without anything that came along with it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from imagegate.runtime.cleaning import clean, clean_mask
from imagegate.runtime.errors import Violation, invalid_request
from imagegate.runtime.images import NotAPicture
from imagegate.runtime.nearest import nearest
from imagegate.runtime.redaction import clip
from imagegate.runtime.tasks import pictures
from imagegate.runtime.uri_inputs import NotFetchedError, UriInputs
from imagegate.runtime.validation import MAX_INPUT_BYTES, MOST
from imagegate.v1 import generation_pb2

IMAGE, MASK = "inpainting.image", "inpainting.mask"
URI_SWITCH = "IMAGEGATE_INPUT_URIS"
# What is wrong with these is wrong with the number or the size of all pictures: then none is looked at.
OF_ALL = frozenset({"task", *MOST})


class PoseTemplates(Protocol):
    """Pictures of poses by their names. It is asked in a thread, as it may read files."""

    def names(self) -> Sequence[str]:
        """The names there are."""

    def get(self, name: str) -> bytes | None:
        """The picture called so; None where there is none."""


class _Refused(Exception):
    """What is wrong with one picture."""


@dataclass(frozen=True, slots=True)
class _Admitted:
    """A picture as it goes on: its bytes, None where it lies in the request as it shall, how many, and its pixels."""

    data: bytes | None
    size: int
    width: int
    height: int


class Entrance:
    """Lets the pictures of requests in. One per process: it decodes one at a time, as that may take 300 MB.

    `templates` are the poses that a request may name; `uris` fetches what it names by address, None where the operator
    does not allow that. Whoever makes it closes it.
    """

    def __init__(self, templates: PoseTemplates | None = None, uris: UriInputs | None = None) -> None:
        self._templates = templates
        self._uris = uris
        # A thread of its own, not a turn in a common one: what a caller has left behind is worked on to its end.
        self._desk = ThreadPoolExecutor(max_workers=1, thread_name_prefix="entrance")

    async def close(self) -> None:
        """Let go of connections and threads."""
        self._desk.shutdown(wait=False, cancel_futures=True)
        if self._uris is not None:
            await self._uris.close()

    async def admit(
        self, request: generation_pb2.GenerateRequest, wrong: Sequence[Violation] = ()
    ) -> generation_pb2.GenerateRequest:
        """The request with clean pictures; itself where they are that already.

        `wrong` is what `validation` has found. Raises Failure(INVALID_REQUEST) with that and every picture that is
        refused.
        """
        if not wrong and next(pictures(request), None) is None:
            return request
        fields = {violation.field for violation in wrong}
        refused: list[Violation] = []
        admitted: dict[str, _Admitted] = {}
        if fields.isdisjoint(OF_ALL):
            admitted, refused = await self._look_at_all(request, fields)
        if wrong or refused:
            raise invalid_request([*wrong, *refused])
        return _with_pictures(request, admitted)

    async def _look_at_all(
        self, request: generation_pb2.GenerateRequest, known: set[str]
    ) -> tuple[dict[str, _Admitted], list[Violation]]:
        """Every picture by its place, and what is wrong with the others; those `known` to be wrong are left alone."""
        admitted: dict[str, _Admitted] = {}
        refused: list[Violation] = []
        for place, image in pictures(request):
            if place in known:
                continue
            try:
                admitted[place] = await self._look_at(image, is_mask=place == MASK)
            except _Refused as refusal:
                refused.append(Violation(place, str(refusal)))
            size = sum(each.size for each in admitted.values())
            if size > MAX_INPUT_BYTES:
                limit = f"at most {MAX_INPUT_BYTES // 1024**2} MiB are allowed"
                refused.append(Violation("task", f"all pictures together, made clean, have {size:,} bytes; {limit}"))
                break
        return admitted, [*refused, *_of_mask(admitted)]

    async def _look_at(self, image: generation_pb2.InputImage, *, is_mask: bool) -> _Admitted:
        """A picture, wherever it comes from. Raises _Refused."""
        way = clean_mask if is_mask else clean
        source = image.WhichOneof("source")
        fetched = await self._fetched(image.uri) if source == "uri" else b""

        def look() -> _Admitted:  # only here are its bytes taken out: while it waits for its turn it is held once
            data = self._template(image.template) if source == "template" else fetched or image.data
            seen = way(data)
            if seen.is_black:
                raise _Refused("is black throughout: white is what is made anew")
            is_there = source == "data" and not seen.is_changed
            return _Admitted(None if is_there else seen.data, len(seen.data), seen.width, seen.height)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._desk, look)
        except NotAPicture as error:
            whose = f"the pose template {clip(image.template, 64)!r} " if source == "template" else ""
            raise _Refused(f"{whose}is {error.what}; expected one whole PNG, JPEG or WEBP") from None

    async def _fetched(self, uri: str) -> bytes:
        if self._uris is None:
            raise _Refused(f"is a uri, which is switched off here ({URI_SWITCH}=true allows it): send it as data")
        try:
            return await self._uris.fetch(uri)
        except NotFetchedError:
            raise _Refused("cannot be fetched from there") from None

    def _template(self, name: str) -> bytes:
        data = self._templates.get(name) if self._templates is not None else None
        if data is None:
            known = nearest(name, list(self._templates.names())) if self._templates is not None else []
            near = f" (the nearest: {', '.join(known)})" if known else ""
            raise _Refused(f"there is no pose template {clip(name, 64)!r}{near}; see ListPoseTemplates")
        return data


def _of_mask(admitted: Mapping[str, _Admitted]) -> list[Violation]:
    if MASK not in admitted or IMAGE not in admitted:
        return []
    image, mask = admitted[IMAGE], admitted[MASK]
    if (mask.width, mask.height) == (image.width, image.height):
        return []
    sizes = f"{mask.width} × {mask.height} pixels and the picture {image.width} × {image.height}"
    return [Violation(MASK, f"has {sizes}; they have to be the same")]


def _with_pictures(
    request: generation_pb2.GenerateRequest, admitted: Mapping[str, _Admitted]
) -> generation_pb2.GenerateRequest:
    """The request with these pictures, each at its place as data."""
    changed = {place: each.data for place, each in admitted.items() if each.data is not None}
    if not changed:
        return request
    clean_request = generation_pb2.GenerateRequest()
    clean_request.CopyFrom(request)
    for place, image in pictures(clean_request):
        if place in changed:
            image.data = changed[place]
    return clean_request
