"""Limits of calls, each crossed (S17, S18): how many, how large, how slow, how deep, and how much is left unread."""

import asyncio
import re
import time
from pathlib import Path

import grpc
import h2.events
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from imagegate.runtime.errors import Reason
from imagegate.runtime.serialised import varint
from imagegate.runtime.server_limits import MIB, PREFIX, ServerLimits
from imagegate.runtime.unread import Unread
from integration.abuse.serving import Request, failing, served, until, wires
from integration.abuse.wire import framed

ROOT = Path(__file__).parents[3]


async def test_so_many_calls_at_a_time() -> None:
    """S17: one call more than there may be is told to come back, before its message is read; probes are answered."""
    async with served(ServerLimits(calls=2)) as house, house.stub() as stub:
        waiting = [asyncio.ensure_future(stub.Generate(Request(prompt="wait"), timeout=20)) for _ in range(2)]
        await until(lambda: house.begun == 2)
        error, failure = await failing(stub.Generate(Request(prompt="a"), timeout=20))
        assert failure is not None
        assert (error.code(), failure.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, Reason.BUSY)
        assert failure.retry_after
        async with grpc.aio.insecure_channel(f"127.0.0.1:{house.port}") as channel:
            await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
        house.go_on.set()
        await asyncio.gather(*waiting)
        await stub.Generate(Request(prompt="a"), timeout=20)


def busy(seconds: float) -> None:
    """Nothing else is done in this thread."""
    time.sleep(seconds)


async def test_a_burst_while_we_are_busy() -> None:
    """S16: gRPC keeps more calls than come in one burst, and cancels none of them at random."""
    async with served() as house, wires(house.port) as connect:
        every = [await connect() for _ in range(4)]
        for wire in every:
            await wire.until(h2.events.RemoteSettingsChanged)
            for _ in range(400):
                wire.call(Request(prompt="x").SerializeToString())
            await wire.flush()
        busy(0.5)
        async with asyncio.timeout(30):
            for wire in every:
                while (
                    sum(isinstance(each, h2.events.StreamEnded | h2.events.StreamReset) for each in wire.events) < 400
                ):
                    await wire.read()
        heads = [each for wire in every for each in wire.events if isinstance(each, h2.events.TrailersReceived)]
        codes = [dict(each.headers)["grpc-status"] for each in heads]
        assert (len(codes), set(codes)) == (1600, {"0"})


async def test_a_probe_waits_behind_nobody() -> None:
    """S16: whether a server is there is told at once, however many calls wait to be looked at."""
    async with (
        served() as house,
        wires(house.port) as connect,
        grpc.aio.insecure_channel(f"127.0.0.1:{house.port}") as channel,
    ):
        probe = health_pb2_grpc.HealthStub(channel)
        await probe.Check(health_pb2.HealthCheckRequest(), timeout=5)
        wire = await connect()
        await wire.until(h2.events.RemoteSettingsChanged)
        for _ in range(400):
            wire.call(Request(prompt="x").SerializeToString())
        await wire.flush()
        asked = asyncio.ensure_future(probe.Check(health_pb2.HealthCheckRequest(), timeout=30))
        await asyncio.sleep(0)
        busy(0.5)  # meanwhile all of them have come
        await asked
        assert house.begun < 200
        await until(lambda: house.begun == 400)


async def test_a_request_that_is_too_large() -> None:
    """S18: a message above the limit is refused by gRPC itself; one below it is taken."""
    async with served(ServerLimits(request_mib=1)) as house, house.stub() as stub:
        assert (await stub.Generate(Request(prompt="x" * (MIB - 100)), timeout=20)).provider == str(MIB - 100)
        error, _ = await failing(stub.Generate(Request(prompt="x" * (MIB + 1)), timeout=20))
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "larger than max" in (error.details() or "")


async def test_a_request_that_does_not_come() -> None:
    """S24: half a message is waited for so long and no longer, and nothing of it stays."""
    async with served(ServerLimits(request_seconds=0.4)) as house, wires(house.port) as connect:
        wire = await connect()
        stream = wire.call(b"")
        wire.h2.send_data(stream, framed(b"x" * 100)[:50])
        await wire.flush()
        head = await asyncio.wait_for(wire.until(h2.events.ResponseReceived | h2.events.TrailersReceived), 5)
        assert dict(head.headers)["grpc-status"] == str(grpc.StatusCode.DEADLINE_EXCEEDED.value[0])
        assert dict(head.headers)["imagegate-reason"] == "TIMEOUT"
        await until(lambda: not house.traffic.calls and not house.traffic.intake.taken)
        assert not house.begun


async def test_a_request_byte_by_byte() -> None:
    """S18: a message in frames of one byte each is a message, and others are served meanwhile."""
    message = framed(Request(prompt="x" * 5000).SerializeToString())
    async with served() as house, house.stub() as stub, wires(house.port) as connect:
        wire = await connect()
        await wire.until(h2.events.RemoteSettingsChanged)
        stream = wire.call(b"")
        for at in range(len(message)):
            wire.h2.send_data(stream, message[at : at + 1], end_stream=at == len(message) - 1)
        await wire.flush()
        await stub.Generate(Request(prompt="a fox"), timeout=5)
        trailers = await asyncio.wait_for(wire.until(h2.events.TrailersReceived), 10)
        assert dict(trailers.headers)["grpc-status"] == "0"


async def test_metadata_that_are_too_large() -> None:
    """S18: beyond the limit a call is refused, below it is not, and never at random."""
    async with served() as house, house.stub() as stub:
        for _ in range(5):
            await stub.Generate(Request(prompt="a"), metadata=(("x", "a" * 7000),), timeout=20)
            error, _ = await failing(stub.Generate(Request(prompt="a"), metadata=(("x", "a" * 8192),), timeout=20))
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_too_many_values() -> None:
    """S18: ten thousand fields in one request are refused before they become objects, however they are nested."""
    many = Request(prompt="x" * 100_000, must_keep=["steps"] * 10_001)
    nested = Request(prompt="x" * 100_000)
    nested.provider_options["fal"].update({"a": [[{}] * 100] * 101})
    async with served() as house, house.stub() as stub:
        for request in (many, nested):
            error, failure = await failing(stub.Generate(request, timeout=20))
            assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert failure is not None
            assert "10,000 values" in str(failure)
        assert not house.begun


async def test_a_request_that_is_nested_too_deeply() -> None:
    """S18: what the parser refuses is the request's fault, and not a bug of ours."""
    value = b"\x1a\x04deep"  # a string
    for _ in range(150):
        value = _within(6, _within(1, value))  # in a list, which is a value
    options = _within(1, b"fal") + _within(2, _within(1, _within(1, b"a") + _within(2, value)))
    async with served() as house, grpc.aio.insecure_channel(f"127.0.0.1:{house.port}") as channel:
        call = channel.unary_unary("/imagegate.v1.GenerationService/Generate")
        error, failure = await failing(call(_within(18, options), timeout=20))
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert failure is not None
        assert failure.reason is Reason.INVALID_REQUEST
        assert not house.begun


def _within(number: int, content: bytes) -> bytes:
    """A field of a message that holds so many bytes."""
    return varint(number << 3 | 2) + varint(len(content)) + content


async def test_requests_have_so_much_room_together() -> None:
    """Bytes of requests under way are bounded: who finds no room is told to come back; a small one finds some."""
    large = Request(prompt="wait" + "x" * 700_000)
    async with served(ServerLimits(requests_mib=1)) as house, house.stub() as stub:
        first = asyncio.ensure_future(stub.Generate(large, timeout=20))
        await until(lambda: house.begun == 1)
        error, failure = await failing(stub.Generate(large, timeout=20))
        assert failure is not None
        assert (error.code(), failure.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, Reason.BUSY)
        assert failure.retry_after
        await stub.Generate(Request(prompt="a fox"), timeout=20)
        house.go_on.set()
        await first
        await until(lambda: not house.traffic.intake.taken)
        await stub.Generate(large, timeout=20)


async def test_a_request_that_comes_slowly_takes_the_room_of_the_largest() -> None:
    """Nobody knows how much a request will be before it is whole: so many slow ones are waited for as all fit."""
    async with served(ServerLimits(requests_mib=2, request_mib=1)) as house, wires(house.port) as connect:
        wire = await connect()
        for _ in range(3):
            stream = wire.call(b"")
            wire.h2.send_data(stream, framed(b"x" * 100)[:50])
        await wire.flush()
        head = await asyncio.wait_for(wire.until(h2.events.ResponseReceived | h2.events.TrailersReceived), 5)
        assert dict(head.headers)["imagegate-reason"] == "BUSY"
        assert house.traffic.intake.taken == 2 * MIB
        async with house.stub() as stub:
            await stub.Generate(Request(prompt="a fox"), timeout=20)


async def test_answers_have_so_much_room_together() -> None:
    """S17, M21: of those who do not read the youngest answers go, others are served, and all is given back."""
    unread = Unread(4 * MIB, time.monotonic)
    async with served(unread=unread) as house, house.stub() as stub, wires(house.port) as connect:
        house.more = "x" * (MIB // 2)
        wire = await connect(window=0)
        for _ in range(30):
            wire.call(Request(prompt="a").SerializeToString())
        await wire.flush()
        await until(lambda: house.begun == 30)
        for _ in range(10):
            assert len((await stub.Generate(Request(prompt="a fox"), timeout=20)).warnings[0]) == MIB // 2
        assert unread.handed + unread.waiting <= 4 * MIB
        assert unread.handed <= 2.5 * MIB
        assert house.ended("RESOURCE_EXHAUSTED") >= 20
        await wire.close()
        await until(lambda: not unread.handed and not unread.waiting)


def test_every_limit_is_documented_as_it_is() -> None:
    """Rule: every limit is a number in the configuration, told where operators look, with its default."""
    document = (ROOT / "deploy/README.md").read_text()
    for field in ServerLimits.model_fields.values():
        row = re.search(rf"^\| `{PREFIX}{field.alias}`[^|]*\| ([\d,.]+) \|", document, re.MULTILINE)
        assert row, field.alias
        assert float(row[1].replace(",", "")) == field.default, field.alias


async def test_limits_are_read_from_the_environment() -> None:
    """The names of the variables; what is out of range is refused by name."""
    limits = ServerLimits.read({"IMAGEGATE_GRPC_STREAMS": "7", "IMAGEGATE_GRPC_IDLE_SECONDS": "1.5"}, PREFIX)
    options = dict(limits.options())
    assert (options["grpc.max_concurrent_streams"], options["grpc.max_connection_idle_ms"]) == (7, 1500)
    with pytest.raises(ValueError, match="IMAGEGATE_GRPC_CALLS: "):
        ServerLimits.read({"IMAGEGATE_GRPC_CALLS": "0"}, PREFIX)
