"""`POST /v1/images/generations` and `POST /v1/images/edits`."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from aiohttp import web

from imagegate.edge.body import MULTIPART, Body
from imagegate.edge.endpoint import IDEMPOTENT, KIB, MIB, Call, Endpoint
from imagegate.edge.generating import Generating, Made
from imagegate.edge.idempotency import key_in
from imagegate.edge.links import Links
from imagegate.edge.openai import answer, order, stream
from imagegate.edge.openai.answer import Answer
from imagegate.edge.openai.error import tell_error
from imagegate.edge.openai.form import MASK, EditForm, edited
from imagegate.edge.openai.mask import NoMaskError, repainted
from imagegate.edge.openai.order import Ordered
from imagegate.edge.openai.schema import Asked, Generation, invalid, read, refused
from imagegate.edge.sse import MEDIA_TYPE
from imagegate.runtime.images import NotAPicture
from imagegate.runtime.validation import MAX_INPUT_BYTES

# A prompt and a negative one of 32,000 characters each, of up to four bytes.
GENERATION_BYTES = 256 * KIB
EDIT_BYTES = MAX_INPUT_BYTES + MIB


class Images:
    """Makes and edits pictures. `public_url` is what links begin with; empty takes what the caller used."""

    def __init__(self, generating: Generating, links: Links, public_url: str) -> None:
        self._generating = generating
        self._links = links
        self._public_url = public_url
        # A thread of its own, so that one mask is decoded at a time, whoever has left meanwhile.
        self._masks = ThreadPoolExecutor(max_workers=1, thread_name_prefix="masks")

    def endpoints(self) -> list[Endpoint]:
        """The routes."""
        return [
            Endpoint(
                "POST",
                "/v1/images/generations",
                self.generate,
                "Pictures from words, as OpenAI's client asks for them",
                tell_error,
                max_bytes=GENERATION_BYTES,
                generates=True,
                takes=Generation,
                answers=Answer,
                answers_media=(MEDIA_TYPE,),
                openapi=IDEMPOTENT,
            ),
            Endpoint(
                "POST",
                "/v1/images/edits",
                self.edit,
                "A picture edited, as OpenAI's client asks for it",
                tell_error,
                max_bytes=EDIT_BYTES,
                generates=True,
                takes=EditForm,
                media=(MULTIPART,),
                answers=Answer,
                answers_media=(MEDIA_TYPE,),
                openapi=IDEMPOTENT,
            ),
        ]

    async def generate(self, call: Call) -> web.StreamResponse:
        """Pictures from words."""
        asked = read(Generation, await Body(call.request, GENERATION_BYTES).json())
        return await self._answered(
            call, "image_generation", asked, order.generation(asked, key_in(call.request.headers))
        )

    async def edit(self, call: Call) -> web.StreamResponse:
        """The first picture of a form, edited."""
        wanted = edited(await Body(call.request, EDIT_BYTES).form())
        mask = None if wanted.mask is None else await self._repainted(wanted.mask)
        ordered = order.edit(wanted.asked, wanted.images, mask, key_in(call.request.headers))
        return await self._answered(call, "image_edit", wanted.asked, ordered)

    async def _answered(self, call: Call, kind: stream.Kind, asked: Asked, ordered: Ordered) -> web.StreamResponse:
        if asked.stream:
            happening = self._generating.stream(call.caller, call.request_id, ordered.order)
            return await stream.respond(call, stream.events(kind, asked, ordered, happening))
        made = await self._generating.generate(call.caller, call.request_id, ordered.order)
        urls = self._urls(call, made) if asked.response_format == "url" else ()
        body = await asyncio.to_thread(answer.encoded, made, ordered, urls)
        return web.Response(body=body, content_type="application/json")

    def _urls(self, call: Call, made: Made) -> list[str]:
        base = self._public_url.rstrip("/") or f"{call.request.scheme}://{call.request.host}"
        return [base + self._links.sign(picture.path, picture.sha256) for picture in made.pictures]

    async def _repainted(self, mask: bytes) -> bytes:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._masks, repainted, mask)
        except NotAPicture as error:
            raise refused([invalid(MASK, f"is {error.what}; expected a PNG with transparency")]) from None
        except NoMaskError as error:
            raise refused([invalid(MASK, str(error))]) from None
