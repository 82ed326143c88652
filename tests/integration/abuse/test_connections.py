"""Limits of connections, each crossed (S18, S19): how many, for how long, and how often they may ping."""

import asyncio
import contextlib
import time
from pathlib import Path

import grpc
import h2.events
import h2.settings
import pytest

from imagegate.runtime.channels import CHANNEL_OPTIONS, ChannelPool
from imagegate.runtime.server_limits import ServerLimits
from imagegate.runtime.settings import ProcessSettings
from imagegate.v1 import generation_pb2_grpc
from integration.abuse.serving import Request, failing, served, until, wires
from integration.abuse.wire import DATA, END_HEADERS, END_STREAM, HEADERS, PING, PREFACE, frame, framed, heads

CERTIFICATES = Path(__file__).parents[1] / "faults/self_signed.pem"


async def test_so_many_connections_and_no_more() -> None:
    """S17: one connection more than there may be is closed; where one has gone there is room again."""
    async with served(ServerLimits(connections=2)) as house, wires(house.port) as connect:
        first, second = [await connect() for _ in range(2)]
        for wire in (first, second):
            await wire.until(h2.events.RemoteSettingsChanged)
        await asyncio.wait_for((await connect()).until_closed(), 5)
        await first.close()

        async def is_taken() -> bool:
            wire = await connect()
            try:
                await wire.until(h2.events.RemoteSettingsChanged)
            except ConnectionError:
                return False
            return True

        async with asyncio.timeout(5):
            while not await is_taken():
                await asyncio.sleep(0.05)


async def test_so_many_streams_on_a_connection() -> None:
    """S17: the limit is told in the settings, and a stream more is refused before anything is done."""
    async with served(ServerLimits(streams=2)) as house, wires(house.port) as connect:
        wire = await connect()
        await wire.until(h2.events.RemoteSettingsChanged)
        told = wire.h2.remote_settings.get(h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS)
        assert told == 2
        wait = framed(Request(prompt="wait").SerializeToString())
        for stream in (1, 3, 5):  # by hand: `h2` would keep to the limit
            block = wire.h2.encoder.encode(heads())
            await wire.flush(frame(HEADERS, END_HEADERS, stream, block) + frame(DATA, END_STREAM, stream, wait))
        await until(lambda: house.begun == 2)
        house.go_on.set()
        await until(lambda: house.traffic.calls == 0)
        await (await connect()).until(h2.events.RemoteSettingsChanged)  # what came before is looked at
        assert house.begun == 2


@pytest.mark.parametrize("start", [b"", b"PRI * HT", PREFACE], ids=["silent", "half a preface", "no settings"])
async def test_a_connection_that_never_begins(start: bytes) -> None:
    """S18: whoever connects and does not begin is hung up on."""
    async with served(ServerLimits(handshake_seconds=0.3)) as house:
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
        writer.write(start)
        async with asyncio.timeout(5):
            while await reader.read(1024):
                pass
        writer.close()


async def test_a_handshake_of_tls_that_stays_half_done() -> None:
    """S18: the same where TLS is spoken: the beginning of a hello, and nothing after it."""
    settings = ProcessSettings(
        port=0, http_port=0, drain_seconds=0, grace_seconds=0, tls_cert_file=CERTIFICATES, tls_key_file=CERTIFICATES
    )
    async with served(ServerLimits(handshake_seconds=0.3), settings=settings) as house:
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
        writer.write(bytes((22, 3, 1, 2, 0, 1)))
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize("kind", ["nothing", "half a head", "half a frame"])
async def test_a_connection_without_a_call_ends(kind: str) -> None:
    """S18: heads that never end are no call; a connection with nothing else ends once it was idle for so long."""
    async with served(ServerLimits(idle_seconds=0.5)) as house, wires(house.port) as connect:
        wire = await connect()
        block = wire.h2.encoder.encode(heads())
        sent = {
            "nothing": b"",
            "half a head": frame(HEADERS, 0, 1, block[:10]),
            "half a frame": frame(HEADERS, END_HEADERS, 1, block)[:20],
        }
        await wire.flush(sent[kind])
        assert await asyncio.wait_for(wire.until_closed(), 10)


async def test_an_old_connection_ends_and_its_calls_do_not() -> None:
    """P7: clients connect anew when their connection has become old, and no call under way notices."""
    ready = grpc.ChannelConnectivity.READY
    async with (
        served(ServerLimits(age_seconds=0.3)) as house,
        grpc.aio.insecure_channel(f"127.0.0.1:{house.port}") as channel,
    ):
        stub = generation_pb2_grpc.GenerationServiceStub(channel)
        long = asyncio.ensure_future(stub.Generate(Request(prompt="wait"), timeout=20))
        await until(lambda: house.begun == 1)
        async with asyncio.timeout(10):
            for _ in range(2):  # the first one's end, and that of the next
                await stub.Generate(Request(prompt="a fox"), timeout=20)
                await channel.wait_for_state_change(ready)
        house.go_on.set()
        assert (await long).provider == "4"


async def test_an_old_connection_has_its_grace() -> None:
    """S17: a call that outlasts the grace ends with its connection, and whatever it held is free."""
    async with served(ServerLimits(age_seconds=0.2, age_grace_seconds=0.3)) as house, house.stub() as stub:
        began = time.monotonic()
        error, _ = await failing(stub.Generate(Request(prompt="wait"), timeout=20))
        assert time.monotonic() - began < 10, error
        await until(lambda: not house.traffic.calls)


@pytest.mark.parametrize("calls", [2_000, pytest.param(40_000, marks=pytest.mark.nightly)])
async def test_connections_that_grow_old_lose_no_call(calls: int) -> None:
    """P7: 0 failed calls over connections that live for a fifth of a second, and none is begun twice."""
    async with served(ServerLimits(age_seconds=0.2)) as house:
        pool = ChannelPool(f"127.0.0.1:{house.port}")

        async def some() -> None:
            for _ in range(calls // 20):
                async with pool.call_slot() as channel:
                    stub = generation_pb2_grpc.GenerationServiceStub(channel)
                    await stub.Generate(Request(prompt="a fox"), timeout=20)

        await asyncio.gather(*(some() for _ in range(20)))
        await pool.close()
        assert house.begun == calls


async def test_grpc_repeats_only_what_was_never_begun() -> None:
    """M14: it may repeat by itself, or an ageing connection would lose a call in some thousands; but no call that a
    server has begun, whatever comes of it, and by no policy.
    """
    options = dict(CHANNEL_OPTIONS)
    assert (options["grpc.enable_retries"], options["grpc.service_config_disable_resolution"]) == (1, 1)
    assert "retryPolicy" not in str(options["grpc.service_config"])
    async with served(ServerLimits(age_seconds=0.2, age_grace_seconds=0.3)) as house, house.stub() as stub:
        for number, prompt in enumerate(("fail", "wait"), start=1):  # told so; cut with its connection
            error, _ = await failing(stub.Generate(Request(prompt=prompt), timeout=20))
            assert error.code() is grpc.StatusCode.UNAVAILABLE
            assert house.begun == number


async def test_who_does_not_answer_is_gone() -> None:
    """S19: a connection whose other side does not answer a ping is closed, and its calls are over."""
    async with (
        served(ServerLimits(keepalive_seconds=1, keepalive_timeout_seconds=1)) as house,
        wires(house.port) as connect,
    ):
        wire = await connect()
        wire.call(Request(prompt="wait").SerializeToString())
        await wire.flush()
        await until(lambda: house.traffic.calls == 1)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.7):  # what it was asked at first it answers
                while await wire.read():
                    await wire.flush()
        assert house.traffic.calls == 1
        await asyncio.wait_for(wire.until_closed(), 20)
        await until(lambda: house.traffic.calls == 0)


async def test_who_pings_too_often_is_hung_up_on() -> None:
    """S19, M22: after so many pings too many the connection ends; at a rate that is allowed it does not."""
    ping = frame(PING, 0, 0, b"8 bytes.")
    async with served(ServerLimits(ping_seconds=0.05, ping_strikes=2)) as house, wires(house.port) as connect:
        slow = await connect()
        for _ in range(10):
            await slow.flush(ping)
            await asyncio.sleep(0.1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(slow.until_closed(), 0.1)
    async with served(ServerLimits(ping_seconds=10, ping_strikes=2)) as house, wires(house.port) as connect:
        quick = await connect()
        await quick.flush(ping * 4)
        assert b"too_many_pings" in await asyncio.wait_for(quick.until_closed(), 5)


def test_our_clients_ping_less_often_than_servers_allow() -> None:
    """S19: otherwise a long generation would end as too many pings, whatever the operator sets."""
    pings = dict(CHANNEL_OPTIONS)["grpc.keepalive_time_ms"]
    field = ServerLimits.model_fields["ping_seconds"]
    longest = next(each.lt for each in field.metadata if hasattr(each, "lt"))
    assert isinstance(longest, int | float)
    assert isinstance(pings, int)
    assert longest * 1000 <= pings
