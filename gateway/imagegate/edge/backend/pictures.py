"""`POST /api/ai/generate-image` and `POST /api/ai/generate-batch`: pictures."""

import asyncio

from aiohttp import web

from imagegate.client import GenerationError
from imagegate.edge.backend.answered import (
    BatchAnswer,
    FailedItem,
    MadeItem,
    PictureAnswer,
    made_item,
    picture_answer,
)
from imagegate.edge.backend.asked import BatchRequest, PictureRequest
from imagegate.edge.backend.exchange import MEDIA, answer, read_any, tell
from imagegate.edge.backend.failing import failed_item
from imagegate.edge.body import Body
from imagegate.edge.endpoint import IDEMPOTENT, KIB, MIB, Call, Endpoint
from imagegate.edge.generating import Generating, Order
from imagegate.edge.idempotency import key_in, part_of
from imagegate.edge.links import Links
from imagegate.edge.problem import Problem, of_error

# Room for a prompt of 32,000 characters in any script, however it is escaped, and for its negative.
PICTURE_BYTES = 512 * KIB
BATCH_BYTES = 2 * MIB
AT_A_TIME = 4  # of a batch


class Pictures:
    """Makes pictures, one or several at a time."""

    def __init__(self, generating: Generating, links: Links) -> None:
        self._generating = generating
        self._links = links

    def endpoints(self) -> list[Endpoint]:
        """The routes."""
        return [
            Endpoint(
                "POST",
                "/api/ai/generate-image",
                self.generate,
                "Make a picture, for a web backend",
                tell,
                max_bytes=PICTURE_BYTES,
                generates=True,
                takes=PictureRequest,
                media=MEDIA,
                answers=PictureAnswer,
                openapi=IDEMPOTENT,
            ),
            Endpoint(
                "POST",
                "/api/ai/generate-batch",
                self.generate_batch,
                "Make up to 20 pictures, each with an answer of its own",
                tell,
                max_bytes=BATCH_BYTES,
                generates=True,
                takes=BatchRequest,
                answers=BatchAnswer,
                openapi=IDEMPOTENT,
            ),
        ]

    async def generate(self, call: Call) -> web.Response:
        """One picture."""
        wanted = await read_any(call, PictureRequest, PICTURE_BYTES)
        return answer(await self._made(call, call.request_id, wanted, key_in(call.request.headers)))

    async def generate_batch(self, call: Call) -> web.Response:
        """Several pictures, some at a time; one that fails does not end the others. Who leaves ends all."""
        batch = await Body(call.request, BATCH_BYTES).parsed(BatchRequest)
        key = key_in(call.request.headers)
        room = asyncio.Semaphore(AT_A_TIME)

        async def item(index: int, wanted: PictureRequest) -> MadeItem | FailedItem:
            # A request's id has at most 128 characters.
            request_id = f"{call.request_id[:120]}-{index}"
            async with room:
                try:
                    return made_item(index, await self._made(call, request_id, wanted, part_of(key, index)))
                except GenerationError as error:
                    return failed_item(index, of_error(error), request_id)
                except Problem as problem:
                    return failed_item(index, problem, request_id)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(item(index, wanted)) for index, wanted in enumerate(batch.requests)]
        results = [task.result() for task in tasks]
        failed = sum(isinstance(each, FailedItem) for each in results)
        return answer(
            BatchAnswer(
                success=not failed,
                succeeded=len(results) - failed,
                failed=failed,
                results=results,
                warnings=batch.unknown(),
            )
        )

    async def _made(self, call: Call, request_id: str, wanted: PictureRequest, key: str) -> PictureAnswer:
        order = Order(wanted.prompt, wanted.model_meant, wanted.fields(), idempotency_key=key)
        made = await self._generating.generate(call.caller, request_id, order)
        return picture_answer(made, self._links.sign(made.pictures[0].path, made.pictures[0].sha256), wanted.unknown())
