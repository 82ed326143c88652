"""The SDK against a scripted router on a real socket."""

import asyncio
import contextlib
import gc
import threading
from typing import Any

import grpc
import pytest

from imagegate.client import AsyncClient, Client, GenerationError
from imagegate.runtime.errors import Failure, Reason, Violation, invalid_request
from imagegate.v1 import catalog_pb2, error_pb2, router_pb2, router_pb2_grpc, terms_pb2

NOBODY = "127.0.0.1:1"


async def test_a_picture_comes_with_how_it_came_about(router: Any) -> None:
    """R6: the answer has the picture, who made it, every attempt and every adjustment, in bare names."""
    async with AsyncClient(router.address) as client:
        result = await client.generate("a lighthouse", model="avatar", width=512, seed=0, deny_providers=["sketch"])
    (request,) = router.requests
    assert (request.prompt, request.model, request.width, request.seed) == ("a lighthouse", "avatar", 512, 0)
    assert list(request.routing.deny_providers) == ["sketch"]
    assert not request.HasField("height")
    assert (result.provider, result.model, result.resolved_by) == ("fal", "flux-schnell", "ROUTE")
    assert [attempt.reason for attempt in result.attempts] == ["MODEL_ACCESS_DENIED", "BACKING_OFF", ""]
    assert [attempt.skipped for attempt in result.attempts] == [False, True, False]
    assert result.adjustments[0].action == "DROPPED"
    assert result.request_id == request.request_id
    assert result.cost is None
    assert result.sandbox
    assert result.images[0].pil().size == (64, 48)


async def test_questions_are_answered_in_the_protos_own_words(router: Any) -> None:
    """What would be tried, what a model says, and what became of requests: with `await` and without."""
    async with AsyncClient(router.address) as client:
        explanation = await client.explain("x", model="avatar", width=512, payment="AVAILABLE")
        assert [prospect.turn for prospect in explanation.candidates] == [1, 0]
        assert (await client.check("flux-dev")).model == "flux-dev"
        assert [each.request_id for each in (await client.requests()).requests] == ["bad-1", "good-1"]
        assert [each.request_id for each in (await client.requests(failed_only=True, limit=5)).requests] == ["bad-1"]
        assert (await client.request("good-7")).request_id == "good-7"
        with pytest.raises(GenerationError) as caught:
            await client.request("gone")
    assert caught.value.code is grpc.StatusCode.NOT_FOUND
    (explained,) = router.explained
    assert (explained.model, explained.width, explained.idempotency_key) == ("avatar", 512, "")
    assert router.requests == []
    with Client(router.address) as blocking:
        assert await asyncio.to_thread(blocking.explain, "x") == explanation
        assert (await asyncio.to_thread(blocking.check, "sdxl")).model == "sdxl"
        assert len((await asyncio.to_thread(blocking.requests, limit=1)).requests) == 1
        assert (await asyncio.to_thread(blocking.request, "good-8")).request_id == "good-8"


async def test_what_it_would_cost_and_which_model_to_use(router: Any) -> None:
    """P8: an estimate takes what `generate` takes, and needs no prompt; a recommendation takes its limits; with `await`
    and without.
    """
    async with AsyncClient(router.address) as client:
        estimate = await client.estimate(model="avatar", width=2048, count=2, max_credits=30)
        found = await client.recommend(task="INPAINTING", min_quality="HD", max_seconds=9.5, max_credits=None, limit=1)
        with pytest.raises(TypeError, match=r"recommend.*max_credit.*max_credits"):
            await client.recommend(max_credit=3)  # type: ignore[call-arg]
    assert (estimate.low, estimate.high) == (3, 25)
    (asked,) = router.estimated
    assert (asked.prompt, asked.model, asked.width, asked.count) == ("", "avatar", 2048, 2)
    assert (asked.routing.max_credits, asked.idempotency_key) == (30, "")
    assert [each.model.key for each in found.recommendations] == ["flux-pro"]
    assert router.recommended == [
        catalog_pb2.RecommendModelsRequest(
            task=catalog_pb2.TASK_INPAINTING, min_quality=terms_pb2.QUALITY_HD, max_seconds=9.5, limit=1
        )
    ]
    with Client(router.address) as blocking:
        assert await asyncio.to_thread(blocking.estimate, "x") == estimate
        assert len((await asyncio.to_thread(blocking.recommend, use_case="logos")).recommendations) == 2
    assert (router.estimated[-1].prompt, router.recommended[-1].use_case) == ("x", "logos")


async def test_a_question_has_the_time_of_the_picture_that_it_is_about(router: Any) -> None:
    """What fits the deadline depends on the deadline: Explain gets that of the request which it explains."""
    left: list[float] = []

    async def explain(request: Any, context: Any) -> Any:
        left.append(context.time_remaining())
        return router_pb2.Explanation()

    router.Explain = explain
    server = grpc.aio.server()
    router_pb2_grpc.add_RouterServiceServicer_to_server(router, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with AsyncClient(f"127.0.0.1:{port}", timeout=200) as client:
        await client.explain("x")
        await client.explain("x", timeout=60)
    await server.stop(None)
    assert left == pytest.approx([200, 60], abs=10)


async def test_an_error_carries_the_other_sides_own_words(router: Any) -> None:
    """S3: reason, attempts, retry time, bad fields and request id arrive as the router told them."""
    attempt = error_pb2.Attempt(provider="fal", model="flux-pro", reason=error_pb2.ERROR_REASON_RATE_LIMITED)
    failure = Failure(Reason.RATE_LIMITED, "fal held us back", remedy="wait", retry_after=7.0, attempts=[attempt])
    router.fail(failure)
    async with AsyncClient(router.address) as client:
        with pytest.raises(GenerationError) as caught:
            await client.generate("x", request_id="mine-1")
    error = caught.value
    assert (error.reason, error.code) == (Reason.RATE_LIMITED, grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert error.message == "fal held us back; try: wait"
    assert error.retry_after == 7.0
    assert error.request_id == "mine-1"
    assert [(a.provider, a.model, a.reason) for a in error.attempts] == [("fal", "flux-pro", "RATE_LIMITED")]


async def test_every_bad_field_arrives(router: Any) -> None:
    """S3: a refused request names its bad fields, for programs as well as for people."""
    router.fail(invalid_request([Violation("width", "is 0"), Violation("steps", "is -1")]))
    async with AsyncClient(router.address) as client:
        with pytest.raises(GenerationError) as caught:
            await client.generate("x", width=0, steps=-1)
    assert [violation.field for violation in caught.value.violations] == ["width", "steps"]
    assert caught.value.to_dict()["violations"][0] == {"field": "width", "description": "is 0"}


async def test_nobody_there_is_unreachable_and_says_how_to_start_one() -> None:
    """A transport's failure is told in our words: which address, and what to do."""
    async with AsyncClient(NOBODY) as client:
        with pytest.raises(GenerationError) as caught:
            await client.generate("x")
    assert caught.value.reason is Reason.UNREACHABLE
    assert caught.value.dispatch == "NOT_SENT"
    assert NOBODY in caught.value.message
    assert "imagegate up" in caught.value.message
    assert caught.value.request_id


async def test_a_router_that_goes_away_is_unreachable() -> None:
    """What breaks off in the middle of a call is told with the address as well, and is no CANCELLED of the caller's."""

    async def hang(_request: bytes, _context: Any) -> bytes:
        asked.set()
        await asyncio.Event().wait()
        return b""

    asked = asyncio.Event()
    server = grpc.aio.server()
    handlers = {"Generate": grpc.unary_unary_rpc_method_handler(hang)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("imagegate.v1.GenerationService", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with AsyncClient(f"127.0.0.1:{port}") as client:
        call = asyncio.create_task(client.generate("x"))
        await asked.wait()
        await server.stop(None)
        with pytest.raises(GenerationError, match=str(port)) as caught:
            await call
    assert caught.value.reason is Reason.UNREACHABLE
    assert caught.value.dispatch == "UNKNOWN"  # it was asked, and may have been at it


async def test_the_callers_own_time_running_out_is_a_timeout(router: Any) -> None:
    """The client's deadline reaches the server, and the error names the seconds."""
    router.reply = router.hang
    async with AsyncClient(router.address, timeout=0.3) as client:
        with pytest.raises(GenerationError, match=r"within 0\.3 s") as caught:
            await client.generate("x")
    assert caught.value.reason is Reason.TIMEOUT
    async with asyncio.timeout(5):
        await router.cancelled.wait()


async def test_a_bug_of_the_router_is_told_as_internal(router: Any) -> None:
    """S3: an exception's text never reaches the caller."""
    router.fail(RuntimeError("secret detail"))
    async with AsyncClient(router.address) as client:
        with pytest.raises(GenerationError) as caught:
            await client.generate("x")
    assert caught.value.reason is Reason.INTERNAL
    assert "secret detail" not in caught.value.message


async def test_a_server_that_is_no_router_is_named_as_such() -> None:
    """A call that the other side does not know says that it is the wrong address, not that the network is down."""
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with AsyncClient(f"127.0.0.1:{port}") as client:
        with pytest.raises(GenerationError, match="no router") as caught:
            await client.status()
    await server.stop(None)
    assert caught.value.code is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (grpc.StatusCode.UNAVAILABLE, Reason.UNREACHABLE),
        (grpc.StatusCode.DEADLINE_EXCEEDED, Reason.TIMEOUT),
        (grpc.StatusCode.UNIMPLEMENTED, Reason.UNSUPPORTED),
        (grpc.StatusCode.PERMISSION_DENIED, Reason.INTERNAL),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, Reason.INTERNAL),
        (grpc.StatusCode.UNKNOWN, Reason.INTERNAL),
    ],
)
async def test_a_status_that_is_none_of_ours(code: grpc.StatusCode, reason: Reason) -> None:
    """Only where nobody answers is starting a router the remedy; else the code and its words are told, cleaned."""

    async def refuse(_request: bytes, context: Any) -> bytes:
        await context.abort(code, "a proxy\x1b[31m says\nno " + "x" * 3000)
        return b""

    server = grpc.aio.server()
    handlers = {"Generate": grpc.unary_unary_rpc_method_handler(refuse)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("imagegate.v1.GenerationService", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with AsyncClient(f"127.0.0.1:{port}") as client:
        with pytest.raises(GenerationError) as caught:
            await client.generate("x")
    await server.stop(None)
    error = caught.value
    assert (error.reason, error.code) == (reason, code)
    assert ("imagegate up" in error.message) is (reason is Reason.UNREACHABLE)
    if reason is Reason.INTERNAL:
        assert f"{code.name}: a proxy [31m says no xxx" in error.message
        assert error.message.isprintable()
        assert len(error.message) < 1000


async def test_cancelling_reaches_the_router(router: Any) -> None:
    """A caller who leaves cancels the call down the chain."""
    router.reply = router.hang
    async with AsyncClient(router.address) as client:
        task = asyncio.create_task(client.generate("x"))
        async with asyncio.timeout(5):
            while not router.requests:
                await asyncio.sleep(0.01)
        task.cancel()
        async with asyncio.timeout(5):
            await router.cancelled.wait()
    assert task.cancelled()


async def test_four_hundred_calls_at_once_over_one_client(router: Any) -> None:
    """No call of a burst is refused: full channels are not overfilled, further ones are opened."""
    async with AsyncClient(router.address) as client:
        results = await asyncio.gather(*(client.generate(f"picture {number}") for number in range(400)))
    assert len(results) == 400
    assert len(router.peers) == 4


async def test_the_sync_client_serves_many_threads(router: Any) -> None:
    """One `Client` may be shared by threads, inside a program whose event loop is running (a notebook)."""
    with Client(router.address) as client:
        calls = (asyncio.to_thread(client.generate, f"picture {number}") for number in range(20))
        results = await asyncio.gather(*calls)
        models = await asyncio.to_thread(client.models, "fal", task="text_to_image", tier="pro", use_case="x")
        status = await asyncio.to_thread(client.status)
    assert len({result.request_id for result in results}) == 20
    assert models.models[0].key == "flux-schnell"
    assert router.listed[0].task == catalog_pb2.TASK_TEXT_TO_IMAGE
    assert (router.listed[0].provider, router.listed[0].tier, router.listed[0].use_case) == ("fal", "pro", "x")
    assert status.routes[0].available


async def test_a_closed_client_says_so_and_leaves_no_thread(router: Any) -> None:
    """Closing ends the thread, cancels what is under way, and a later call gets a clear error."""
    router.reply = router.hang
    client = Client(router.address)
    waiting = asyncio.create_task(asyncio.to_thread(client.generate, "x"))
    async with asyncio.timeout(5):
        while not router.requests:
            await asyncio.sleep(0.01)
    await asyncio.to_thread(client.close)
    client.close()
    with pytest.raises((RuntimeError, GenerationError)):
        await waiting
    assert not [thread for thread in threading.enumerate() if thread.name == "imagegate-client"]
    with pytest.raises(RuntimeError, match="is closed"):
        client.status()


async def test_no_call_waits_for_a_client_that_is_closed_meanwhile(router: Any) -> None:
    """A call that races with the end is answered or refused; none waits for a loop that has stopped."""
    for _ in range(10):
        client = Client(router.address)
        answered = threading.Event()

        def ask_on(client: Client = client, answered: threading.Event = answered) -> None:
            while True:
                client.status()
                answered.set()

        asking = [asyncio.create_task(asyncio.to_thread(ask_on)) for _ in range(4)]
        await asyncio.to_thread(answered.wait, 10)
        await asyncio.to_thread(client.close)
        async with asyncio.timeout(10):
            ends = await asyncio.gather(*asking, return_exceptions=True)
        assert all(isinstance(end, RuntimeError | GenerationError) for end in ends), ends


async def test_closing_in_the_clients_own_thread(router: Any) -> None:
    """The collector may close a client anywhere, in its own thread as well: a thread never waits for itself."""
    client = Client(router.address)

    async def close() -> None:
        client.close()

    with contextlib.suppress(RuntimeError):  # its own end may end it
        async with asyncio.timeout(10):
            await asyncio.to_thread(client._wait, close())
    async with asyncio.timeout(4):
        while [thread for thread in threading.enumerate() if thread.name == "imagegate-client"]:
            await asyncio.sleep(0.01)


async def test_a_forgotten_client_is_closed_when_it_is_collected(router: Any) -> None:
    """No thread is left behind by a client that nobody closed."""
    client = Client(router.address)
    await asyncio.to_thread(client.generate, "x")
    del client
    await asyncio.to_thread(gc.collect)
    assert not [thread for thread in threading.enumerate() if thread.name == "imagegate-client"]


def test_the_address_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """IMAGEGATE_ROUTER is the default, an argument goes before it, and a web address is refused."""
    monkeypatch.setenv("IMAGEGATE_ROUTER", "router:50051")
    assert AsyncClient().router == "router:50051"
    assert AsyncClient("other:1").router == "other:1"
    monkeypatch.delenv("IMAGEGATE_ROUTER")
    assert AsyncClient().router == "127.0.0.1:50051"
    with pytest.raises(ValueError, match="HOST:PORT"):
        AsyncClient("http://router:50051")
