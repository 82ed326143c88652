"""Where the pictures of a request come in: each is looked at once, and goes on clean.

Whatever gave it, data, a pose template or an address, a provider gets data: one whole PNG, JPEG or WEBP, upright and
without anything that came along with it.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from imagegate.runtime.cleaning import Clean, clean, clean_mask
from imagegate.runtime.errors import Violation, invalid_request
from imagegate.runtime.images import NotAPicture
from imagegate.runtime.models import nearest
from imagegate.runtime.redaction import clip
from imagegate.runtime.tasks import pictures
from imagegate.runtime.uri_inputs import NotFetchedError, UriInputs
from imagegate.runtime.validation import MAX_INPUT_BYTES, MOST
from imagegate.v1 import generation_pb2

IMAGE, MASK = "inpainting.image", "inpainting.mask"
URI_SWITCH = "IMAGEGATE_INPUT_URIS"
# What is wrong with these is wrong with the number or the size of all pictures: then none is looked at.
OF_ALL = frozenset({"task", *MOST})

Result = TypeVar("Result")


class PoseTemplates(Protocol):
    """Pictures of poses by their names. It is asked in a thread, as it may read files."""

    def names(self) -> Sequence[str]:
        """The names there are."""

    def get(self, name: str) -> bytes | None:
        """The picture called so; None where there is none."""


class _Refused(Exception):
    """What is wrong with one picture."""


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
        fields = {violation.field for violation in wrong}
        refused: list[Violation] = []
        admitted: dict[str, Clean] = {}
        if fields.isdisjoint(OF_ALL):
            admitted, refused = await self._look_at_all(request, fields)
        if wrong or refused:
            raise invalid_request([*wrong, *refused])
        return _with_pictures(request, admitted)

    async def _look_at_all(
        self, request: generation_pb2.GenerateRequest, known: set[str]
    ) -> tuple[dict[str, Clean], list[Violation]]:
        """Every picture by its place, and what is wrong with the others; those `known` to be wrong are left alone."""
        admitted: dict[str, Clean] = {}
        refused: list[Violation] = []
        given = 0
        for place, image in pictures(request):
            if place in known:
                continue
            try:
                data = await self._source(image)
                given += len(data)
                if given > MAX_INPUT_BYTES:  # templates and addresses are counted here only
                    return admitted, [*refused, _too_large(f"more than {MAX_INPUT_BYTES:,}")]
                admitted[place] = await self._look_at(data, image, is_mask=place == MASK)
            except _Refused as refusal:
                refused.append(Violation(place, str(refusal)))
        sizes = sum(len(each.data) for each in admitted.values())
        if sizes > MAX_INPUT_BYTES:
            refused.append(_too_large(f"{sizes:,} (once they are clean)"))
        return admitted, [*refused, *_of_mask(admitted)]

    async def _source(self, image: generation_pb2.InputImage) -> bytes:
        """The bytes of a picture, wherever they come from. Raises _Refused."""
        if image.template:
            return await self._at_desk(lambda: self._template(image.template))
        if image.uri:
            if self._uris is None:
                raise _Refused(f"is a uri, which is switched off here ({URI_SWITCH}=true allows it): send it as data")
            try:
                return await self._uris.fetch(image.uri)
            except NotFetchedError:
                raise _Refused("cannot be fetched from there") from None
        return image.data

    def _template(self, name: str) -> bytes:
        data = self._templates.get(name) if self._templates is not None else None
        if data is None:
            known = nearest(name, list(self._templates.names())) if self._templates is not None else []
            near = f" (the nearest: {', '.join(known)})" if known else ""
            raise _Refused(f"there is no pose template {clip(name, 64)!r}{near}; see ListPoseTemplates")
        return data

    async def _look_at(self, data: bytes, image: generation_pb2.InputImage, *, is_mask: bool) -> Clean:
        try:
            seen = await self._at_desk(lambda: (clean_mask if is_mask else clean)(data))
        except NotAPicture as error:
            whose = f"the pose template {clip(image.template, 64)!r} " if image.template else ""
            raise _Refused(f"{whose}is {error.what}; expected one whole PNG, JPEG or WEBP") from None
        if seen.is_black:
            raise _Refused("is black throughout: white is what is made anew")
        return seen

    async def _at_desk(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._desk, work)


def _of_mask(admitted: Mapping[str, Clean]) -> list[Violation]:
    if MASK not in admitted or IMAGE not in admitted:
        return []
    image, mask = admitted[IMAGE], admitted[MASK]
    if (mask.width, mask.height) == (image.width, image.height):
        return []
    sizes = f"{mask.width} × {mask.height} pixels and the picture {image.width} × {image.height}"
    return [Violation(MASK, f"has {sizes}; they have to be the same")]


def _too_large(size: str) -> Violation:
    limit = MAX_INPUT_BYTES // 1024**2
    return Violation("task", f"all pictures together have {size} bytes; at most {limit} MiB are allowed")


def _with_pictures(
    request: generation_pb2.GenerateRequest, admitted: Mapping[str, Clean]
) -> generation_pb2.GenerateRequest:
    """The request with these pictures, each at its place as data."""
    given = dict(pictures(request))
    if all(given[place].WhichOneof("source") == "data" and not seen.is_changed for place, seen in admitted.items()):
        return request
    clean_request = generation_pb2.GenerateRequest()
    clean_request.CopyFrom(request)
    for place, image in pictures(clean_request):
        image.data = admitted[place].data
    return clean_request
