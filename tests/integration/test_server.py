"""One of our processes on the network: what happens around every call, and beside it on HTTP."""

import asyncio
import json
import logging
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import monotonic

import grpc
import pytest
from aiohttp import ClientSession
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from imagegate.runtime.channels import MESSAGE_OPTIONS
from imagegate.runtime.current import current_request_id
from imagegate.runtime.deadline import Deadline
from imagegate.runtime.errors import Failure, Reason, Violation, from_status
from imagegate.runtime.metrics import ProcessMetrics
from imagegate.runtime.redaction import Redactor
from imagegate.runtime.registry import Registry
from imagegate.runtime.server import Running, Service, serving
from imagegate.runtime.settings import ProcessSettings, SettingsError
from imagegate.v1 import error_pb2, generation_pb2, generation_pb2_grpc

LOCAL = "127.0.0.1"
KEY = "hf_madeUpKey0123456789"
SERVICE = "imagegate.v1.GenerationService"
SETTINGS = ProcessSettings(port=0, http_port=0, drain_seconds=0, grace_seconds=5)
Request, Response = generation_pb2.GenerateRequest, generation_pb2.GenerateResponse
Context = grpc.aio.ServicerContext[Request, Response]
Handler = Callable[[Request, Context], Awaitable[Response]]


class Scripted(generation_pb2_grpc.GenerationServiceServicer):
    """Handles each call with `handler`."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    async def Generate(self, request: Request, context: Context) -> Response:
        return await self._handler(request, context)


class Served:
    """A server around a handler, and a client of it."""

    def __init__(self, running: Running, channel: grpc.aio.Channel, metrics: ProcessMetrics) -> None:
        self.running = running
        self.channel = channel
        self.metrics = metrics
        self.stub = generation_pb2_grpc.GenerationServiceStub(channel)
        self.health = health_pb2_grpc.HealthStub(channel)

    def count(self, code: str, method: str = f"{SERVICE}/Generate") -> float | None:
        """How many calls were answered with `code`."""
        return self.metrics.registry.get_sample_value("imagegate_requests_total", {"method": method, "code": code})

    async def fail(
        self, request: Request | None = None, timeout: float | None = 10
    ) -> tuple[grpc.aio.AioRpcError, Failure]:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.stub.Generate(request or Request(prompt="a"), timeout=timeout)
        status = rpc_status.from_call(caught.value)
        failure = from_status(status) if status is not None else None
        assert failure is not None, caught.value
        return caught.value, failure


@asynccontextmanager
async def served(
    handler: Handler, settings: ProcessSettings = SETTINGS, *, default_timeout: float = 300.0
) -> AsyncIterator[Served]:
    service = Service(
        SERVICE,
        lambda server: generation_pb2_grpc.add_GenerationServiceServicer_to_server(Scripted(handler), server),
    )
    redactor = Redactor()
    redactor.add(KEY)
    metrics = ProcessMetrics(Registry())
    async with serving([service], settings, metrics, redactor, default_timeout) as running:
        target = f"{LOCAL}:{running.grpc_port}"
        async with grpc.aio.insecure_channel(target, options=MESSAGE_OPTIONS) as channel:
            yield Served(running, channel, metrics)


async def echo(request: Request, _context: Context) -> Response:
    """Answer with the id that the call has inside."""
    return Response(request_id=current_request_id())


def raising(error: BaseException) -> Handler:
    async def handler(_request: Request, _context: Context) -> Response:
        raise error

    return handler


def metadata(call: grpc.aio.AioRpcError | grpc.aio.Metadata | None) -> dict[str, str]:
    pairs = call.trailing_metadata() if isinstance(call, grpc.aio.AioRpcError) else call
    return {key: str(value) for key, value in pairs or ()}


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


async def not_offered(request: Request, context: Context) -> Response:
    """What the generated base of a service does with a method that nobody has written."""
    base = generation_pb2_grpc.GenerationServiceServicer()
    return await base.Generate(request, context)  # type: ignore[misc]  # it raises


# ── Errors ───────────────────────────────────────────────────────────────────────────────────────


async def test_what_is_not_offered_is_no_bug() -> None:
    """S3: a method of the contract that a service does not offer is UNIMPLEMENTED; a bug of that name is a bug."""
    async with served(not_offered) as house:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await house.stub.Generate(Request(prompt="a"), timeout=10)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert f"{SERVICE}/Generate is not offered here" in (caught.value.details() or "")
        assert house.count("UNIMPLEMENTED") == 1
    async with served(raising(NotImplementedError())) as house:
        _, failure = await house.fail()
        assert failure.reason is Reason.INTERNAL


BUGS = [
    asyncio.CancelledError(),
    ValueError(f"https://x.test/?key={KEY} failed"),
    TimeoutError(f"{KEY} took too long"),
    KeyError(KEY),
    RuntimeError("\n" * 20_000),
    ExceptionGroup("several", [ValueError(KEY), Failure(Reason.OVERLOADED, "inside")]),
    AssertionError(),
]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: type(bug).__name__)
async def test_any_exception_is_internal_at_once(bug: BaseException) -> None:
    """M2, M3: whatever a handler raises, a stray cancel too, is INTERNAL at once, in generic words."""
    async with served(raising(bug)) as server:
        began = monotonic()
        error, failure = await server.fail(timeout=None)
        assert monotonic() - began < 10
        assert (error.code(), failure.reason) == (grpc.StatusCode.INTERNAL, Reason.INTERNAL)
        assert "bug of its own" in (error.details() or "")
        assert KEY not in repr(error) + str(error.trailing_metadata())
        assert metadata(error)["imagegate-reason"] == "INTERNAL"
        await until(lambda: server.count("INTERNAL") == 1)


async def test_a_task_that_cancels_itself_is_internal_at_once() -> None:
    """M2: a handler whose own task was cancelled by mistake does not leave the caller waiting either."""

    async def cancelling_itself(_request: Request, _context: Context) -> Response:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.Event().wait()
        return Response()

    async with served(cancelling_itself) as server:
        error, _ = await server.fail(timeout=5)
        assert error.code() is grpc.StatusCode.INTERNAL


async def test_a_caller_that_leaves_cancels_the_handler() -> None:
    """R10: when the caller is gone the handler is cancelled, and counted as such, not as a bug of ours."""
    started, ended = asyncio.Event(), asyncio.Event()

    async def hanging(_request: Request, _context: Context) -> Response:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return Response()

    async with served(hanging) as server:
        call = server.stub.Generate(Request(prompt="a"), timeout=30)
        await asyncio.wait_for(started.wait(), 5)
        call.cancel()
        await asyncio.wait_for(ended.wait(), 5)
        await until(lambda: server.count("CANCELLED") == 1)
        assert server.count("INTERNAL") is None


async def test_a_failure_of_which_nobody_hears() -> None:
    """S2: a handler that fails once its caller has gone is counted as a call that was left."""
    started = asyncio.Event()

    async def failing(_request: Request, _context: Context) -> Response:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise Failure(Reason.BAD_OUTPUT, "what came in the end is no picture") from None
        return Response()

    async with served(failing) as server:
        call = server.stub.Generate(Request(prompt="a"), timeout=30)
        await asyncio.wait_for(started.wait(), 5)
        call.cancel()
        await until(lambda: server.count("CANCELLED") == 1)


@pytest.mark.parametrize("reason", list(Reason))
async def test_failures_arrive(reason: Reason) -> None:
    """S3: a failure arrives with its code, its details, and its reason in the trailing metadata."""
    async with served(raising(Failure(reason, "our words", remedy="do this", retry_after=7))) as server:
        error, failure = await server.fail()
        assert error.details() == "our words; try: do this"
        assert (failure.reason, failure.retry_after) == (reason, 7)
        assert metadata(error)["imagegate-reason"] == reason


@pytest.mark.parametrize("unit", ["x", "%", "é", "漢", "🐈"])
async def test_long_errors_arrive_as_what_they_are(unit: str) -> None:
    """M5: 8 KB and more of error text, in any alphabet and any number of attempts, still arrive as the right status."""
    words = unit * 20_000
    attempts = [error_pb2.Attempt(provider="p", message=words, upstream_message=words, remedy=words)] * 30
    failure = Failure(
        Reason.OUT_OF_CREDIT, words, remedy=words, retry_after=3, upstream_message=words, attempts=attempts
    )
    failure.violations = [Violation("prompt", words)] * 30
    async with served(raising(failure)) as server:
        for request_id in ("mine", "i" * 128):
            error, told = await server.fail(Request(prompt="a", request_id=request_id))
            assert (error.code(), told.reason) == (grpc.StatusCode.UNAVAILABLE, Reason.OUT_OF_CREDIT)
            assert told.attempts
            assert metadata(error)["imagegate-request-id"] == request_id


async def test_keys_are_scrubbed_from_failures() -> None:
    """R14: a key in the words of a failure is hidden on its way out, in the remedy too."""
    async with served(raising(Failure(Reason.UPSTREAM_ERROR, f"said {KEY}", remedy=f"not {KEY}"))) as server:
        error, _ = await server.fail()
        assert error.details() == "said ***; try: not ***"
        assert KEY not in str(error.trailing_metadata())


# ── Deadlines and ids ────────────────────────────────────────────────────────────────────────────


async def test_a_call_without_a_deadline_gets_one() -> None:
    """A caller that set no deadline is answered TIMEOUT after the server's own."""

    async def hanging(_request: Request, _context: Context) -> Response:
        await asyncio.Event().wait()
        return Response()

    async with served(hanging, default_timeout=0.1) as server:
        error, failure = await server.fail(timeout=None)
        assert (error.code(), failure.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, Reason.TIMEOUT)
        assert "within the default of 0.1 s" in failure.message


async def test_the_callers_deadline_counts() -> None:
    """A caller's own deadline may be longer than the default, and is what the handler sees."""

    async def slow(_request: Request, context: Context) -> Response:
        left = Deadline.from_context(context).remaining()
        await asyncio.sleep(0.2)
        return Response(warnings=[str(left)])

    async with served(slow, default_timeout=0.05) as server:
        answer = await server.stub.Generate(Request(prompt="a"), timeout=30)
        assert 20 < float(answer.warnings[0]) < 31


async def test_a_timeout_of_the_handlers_own_is_not_the_callers() -> None:
    """M3: a TimeoutError by a bug is not told as the caller's deadline, even where the default applies."""
    async with served(raising(TimeoutError()), default_timeout=30) as server:
        error, _ = await server.fail(timeout=None)
        assert error.code() is grpc.StatusCode.INTERNAL


@pytest.mark.parametrize("given", ["my-id", "a.b_c:D-9", "x" * 128])
async def test_the_callers_id_is_kept(given: str) -> None:
    """R5: a legal id, in the request or in the metadata, is the call's, on success and on error."""
    async with served(echo) as server:
        for request, sent in ((Request(request_id=given), ()), (Request(), (("imagegate-request-id", given),))):
            call = server.stub.Generate(request, timeout=5, metadata=sent)
            assert (await call).request_id == given
            assert metadata(await call.trailing_metadata())["imagegate-request-id"] == given
    async with served(raising(Failure(Reason.BUSY, "no"))) as server:
        error, _ = await server.fail(Request(request_id=given))
        assert metadata(error)["imagegate-request-id"] == given


@pytest.mark.parametrize("given", ["", "no good", "ä", "x" * 129, '{"a":1}', "a\nb"])
async def test_an_illegal_id_is_replaced(given: str) -> None:
    """R5: an id that could forge a log line is replaced by one of ours, on success and on error."""
    async with served(echo) as server:
        call = server.stub.Generate(Request(request_id=given), timeout=5)
        told = (await call).request_id
        assert re.fullmatch("[0-9a-f]{32}", told)
        assert metadata(await call.trailing_metadata())["imagegate-request-id"] == told
    async with served(raising(ValueError())) as server:
        error, _ = await server.fail(Request(request_id=given))
        assert re.fullmatch("[0-9a-f]{32}", metadata(error)["imagegate-request-id"])


async def test_each_call_has_its_own_id() -> None:
    """R6: ids do not leak between calls at the same time."""
    both = asyncio.Barrier(20)

    async def waiting(_request: Request, _context: Context) -> Response:
        await both.wait()
        return Response(request_id=current_request_id())

    async with served(waiting) as server:
        answers = await asyncio.gather(
            *(server.stub.Generate(Request(request_id=f"id-{number}"), timeout=10) for number in range(20))
        )
    assert [answer.request_id for answer in answers] == [f"id-{number}" for number in range(20)]
    assert current_request_id() == ""


# ── Health, starting and stopping ────────────────────────────────────────────────────────────────


async def test_health() -> None:
    """S3: health answers for the process and for each service, NOT_FOUND for others, and no log calls that a bug."""
    async with served(echo) as server:
        for name in ("", SERVICE):
            answer = await server.health.Check(health_pb2.HealthCheckRequest(service=name), timeout=5)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await server.health.Check(health_pb2.HealthCheckRequest(service="nope"), timeout=5)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        await until(lambda: server.count("NOT_FOUND", "grpc.health.v1.Health/Check") == 1)
        assert server.count("INTERNAL", "grpc.health.v1.Health/Check") is None


async def test_stopping_says_so_first_and_lets_calls_finish() -> None:
    """S3: NOT_SERVING is told while calls are still taken; a call under way ends well, and the server waits for it."""
    started, finish, leave = asyncio.Event(), asyncio.Event(), asyncio.Event()
    here: list[Served] = []

    async def slow(request: Request, _context: Context) -> Response:
        if request.prompt == "slow":
            started.set()
            await finish.wait()
        return Response(request_id=current_request_id())

    async def living() -> None:
        async with served(slow, SETTINGS.model_copy(update={"drain_seconds": 1.0})) as server:
            here.append(server)
            # The channel of `served` closes before the server stops.
            await leave.wait()

    life = asyncio.create_task(living())
    await until(lambda: bool(here))
    target = f"{LOCAL}:{here[0].running.grpc_port}"
    async with grpc.aio.insecure_channel(target) as channel, ClientSession() as session:
        stub, health = generation_pb2_grpc.GenerationServiceStub(channel), health_pb2_grpc.HealthStub(channel)
        watch = health.Watch(health_pb2.HealthCheckRequest(service=SERVICE))
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        call = asyncio.ensure_future(stub.Generate(Request(prompt="slow", request_id="slow"), timeout=20))
        await asyncio.wait_for(started.wait(), 5)
        leave.set()
        assert (await asyncio.wait_for(watch.read(), 5)).status == health_pb2.HealthCheckResponse.NOT_SERVING
        ready = await session.get(f"http://{LOCAL}:{here[0].running.http_port}/readyz")
        assert ready.status == 503
        assert (await stub.Generate(Request(prompt="late", request_id="late"), timeout=5)).request_id == "late"
        assert await asyncio.wait_for(watch.read(), 5) is grpc.aio.EOF
        assert not life.done()
        finish.set()
        assert (await call).request_id == "slow"
        await asyncio.wait_for(life, 5)


async def test_a_watcher_does_not_keep_the_server() -> None:
    """S3: a client that watches the health for ever does not make stopping last the whole grace."""
    async with asyncio.timeout(10), AsyncExitStack() as stack:
        async with served(echo, SETTINGS.model_copy(update={"grace_seconds": 60})) as server:
            target = f"{LOCAL}:{server.running.grpc_port}"
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(target))
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING


async def test_grace_ends() -> None:
    """S3: a call that does not end within the grace is broken off, and the server stops."""
    started = asyncio.Event()

    async def hanging(_request: Request, _context: Context) -> Response:
        started.set()
        await asyncio.Event().wait()
        return Response()

    calls = []
    async with served(hanging, SETTINGS.model_copy(update={"grace_seconds": 0.1})) as server:
        channel = grpc.aio.insecure_channel(f"{LOCAL}:{server.running.grpc_port}")
        calls.append(generation_pb2_grpc.GenerationServiceStub(channel).Generate(Request(prompt="a"), timeout=30))
        await asyncio.wait_for(started.wait(), 5)
    async with asyncio.timeout(5):
        assert await calls[0].code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
        await channel.close()


@pytest.mark.parametrize(("setting", "variable"), [("port", "IMAGEGATE_PORT"), ("http_port", "IMAGEGATE_HTTP_PORT")])
async def test_a_port_in_use_is_one_sentence(setting: str, variable: str) -> None:
    """S3: a port in use is refused in one sentence with the variable to change, and nothing stays open."""
    with socket.socket() as taken:
        taken.bind((LOCAL, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError) as caught:
            async with served(echo, SETTINGS.model_copy(update={setting: port})):
                pass
    words = str(caught.value)
    assert str(port) in words
    assert variable in words
    assert "\n" not in words
    assert len(words) < 200


async def test_a_port_of_another_server_of_ours_is_in_use() -> None:
    """S3: gRPC's silent sharing of ports is off: a second server on the same port does not start."""
    async with served(echo) as first:
        with pytest.raises(SettingsError, match="cannot be used"):
            async with served(echo, SETTINGS.model_copy(update={"port": first.running.grpc_port})):
                pass


# ── Debugging ────────────────────────────────────────────────────────────────────────────────────


async def reflected(channel: grpc.aio.Channel) -> set[str]:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]), timeout=5)
    answer = await call.read()
    return {service.name for service in answer.list_services_response.service}


async def test_reflection_and_channelz() -> None:
    """S3: grpcurl finds our services, health, reflection and channelz by reflection, and channelz answers."""
    async with served(echo) as server:
        assert await reflected(server.channel) == {
            SERVICE, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection", "grpc.channelz.v1.Channelz",
        }  # fmt: skip
        stub = channelz_pb2_grpc.ChannelzStub(server.channel)
        answer = await stub.GetServers(channelz_pb2.GetServersRequest(), timeout=5)
        assert answer.server


async def test_reflection_and_channelz_switched_off() -> None:
    """S3: switched off, neither is there; the rest is."""
    async with served(echo, SETTINGS.model_copy(update={"reflection": False, "channelz": False})) as server:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channelz_pb2_grpc.ChannelzStub(server.channel).GetServers(channelz_pb2.GetServersRequest(), timeout=5)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await reflected(server.channel)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
        await server.stub.Generate(Request(prompt="a"), timeout=5)
    async with served(echo, SETTINGS.model_copy(update={"channelz": False})) as server:
        assert "grpc.channelz.v1.Channelz" not in await reflected(server.channel)


async def test_http_beside_it() -> None:
    """S2: /metrics counts the calls, /livez and /readyz answer, and nothing else is there."""
    async with served(echo) as server, ClientSession(f"http://{LOCAL}:{server.running.http_port}") as session:
        await server.stub.Generate(Request(prompt="a"), timeout=5)
        for path, status in (("/livez", 200), ("/readyz", 200), ("/", 404), ("/metrics/../x", 404)):
            async with session.get(path) as answer:
                assert answer.status == status
        async with session.get("/metrics") as answer:
            text = await answer.text()
            assert answer.content_type == "text/plain"
    assert f'imagegate_requests_total{{code="OK",method="{SERVICE}/Generate"}} 1.0' in text
    assert "imagegate_build_info{" in text
    assert re.search(r"^imagegate_tasks [1-9]", text, re.MULTILINE)


# ── Logs: configured for a whole process, so in one of its own ───────────────────────────────────

LOGGING = """
import asyncio, logging, sys, structlog
from imagegate.runtime.redaction import Redactor
from imagegate.runtime.settings import ProcessSettings
from imagegate.runtime.telemetry import configure_logging

key = sys.argv[1]
redactor = Redactor()
redactor.add(key)
configure_logging(ProcessSettings(log_format=sys.argv[2], log_level="info"), redactor, service="a-test")
log = structlog.get_logger("imagegate.test")
log.info("ours", url=f"https://x.test/?a={key}", nested={"deep": [key, (key,)]}, authorization="Bearer x", number=1.5)
log.debug("below the level")
log.info(f"the event {key}\\nforged")
try:
    raise ValueError(f"failed with {key}")
except ValueError:
    log.exception("ours failed")
    logging.getLogger("aiohttp.client").exception("theirs failed %s", key)
logging.getLogger("some.library").warning("theirs %s %r", key, {"k": key})
logging.getLogger("some.library").debug("below the level")
logging.getLogger("some.library").error("wrongly formatted %d", key)
logging.getLogger("some.library").warning("with a stack", stack_info=True)

async def forgotten():
    asyncio.get_running_loop().call_exception_handler({"message": "in the loop", "exception": ValueError(key)})

asyncio.run(forgotten())
"""


FULL = """
import os, structlog
from imagegate.runtime.redaction import Redactor
from imagegate.runtime.settings import ProcessSettings
from imagegate.runtime.telemetry import configure_logging

configure_logging(ProcessSettings(log_format="json", log_level="info"), Redactor(), service="a-test")
structlog.get_logger().info("nobody can read this")
os._exit(7)
"""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that takes nothing is Linux's")
def test_logs_that_cannot_be_written() -> None:
    """R14: no work fails because its line cannot be logged, and nothing of the line is told elsewhere."""
    with Path("/dev/full").open("w") as full:
        told = subprocess.run(
            [sys.executable, "-c", FULL], stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60
        )
    assert (told.returncode, told.stderr) == (7, "a log line of imagegate could not be written\n")


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_logs(log_format: str) -> None:
    """R14, R6: every line, the libraries' and exceptions' too, is one scrubbed line; in JSON where that is set."""
    told = subprocess.run(
        [sys.executable, "-c", LOGGING, KEY, log_format], capture_output=True, text=True, check=True, timeout=60
    )
    assert KEY not in told.stdout + told.stderr
    assert "madeUpKey" not in told.stdout + told.stderr
    assert "below the level" not in told.stdout
    # The one line that its own library wrote wrongly.
    assert re.fullmatch(r"a log line of <string>:\d+ could not be written\n", told.stderr)
    if log_format == "console":
        assert "ours failed" in told.stdout
        return
    lines = [json.loads(line) for line in told.stdout.splitlines()]
    assert {line["service"] for line in lines} == {"a-test"}
    assert all(line["level"] and line["timestamp"] for line in lines)
    events = [line["event"] for line in lines]
    assert events[:2] == ["ours", "the event *** forged"]
    assert lines[0]["nested"] == {"deep": ["***", ["***"]]}
    assert (lines[0]["authorization"], lines[0]["number"]) == ("***", 1.5)
    for event in ("ours failed", "theirs failed ***"):
        assert "ValueError: failed with ***" in lines[events.index(event)]["exception"]
    assert "in the loop" in events


def test_logging_of_this_process_is_untouched() -> None:
    """No test above changed how this process logs."""
    assert not any(type(handler) is logging.StreamHandler for handler in logging.getLogger().handlers)


async def test_a_method_that_would_never_be_asked_is_found_at_the_start() -> None:
    """Whoever registers another handler for a method than the one that is found by its name hears of it at once."""

    def add(server: grpc.aio.Server) -> None:
        generation_pb2_grpc.add_GenerationServiceServicer_to_server(Scripted(echo), server)
        server.add_registered_method_handlers(SERVICE, {"Generate": grpc.unary_unary_rpc_method_handler(echo)})

    with pytest.raises(RuntimeError, match=f"/{SERVICE}/Generate is not found by its name"):
        async with serving([Service(SERVICE, add)], SETTINGS, ProcessMetrics(Registry()), Redactor()):
            pass
