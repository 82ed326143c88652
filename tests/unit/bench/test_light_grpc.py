"""The benchmark's own gRPC client, before a server on gRPC's library."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field

import grpc
import pytest

from bench.frames import WINDOW, Request
from bench.light_grpc import CallFailedError, LightChannel
from imagegate.runtime.channels import MESSAGE_OPTIONS

METHOD = "/x.Y/Z"
BIG = bytes(range(256)) * 4900  # 1.25 MB


@dataclass(slots=True)
class Server:
    """Answers by what it is asked; knows who asked, and ends what it holds when it is told to."""

    server: grpc.aio.Server
    target: str = ""
    peers: set[str] = field(default_factory=set)
    metadata: dict[str, str | bytes] = field(default_factory=dict)
    seconds: float = 0
    held: int = 0
    release: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, message: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        """`big`, `fail` with so long a message, and `hold` are what they say; everything else comes back."""
        self.peers.add(context.peer())
        self.metadata = dict(context.invocation_metadata() or ())
        self.seconds = context.time_remaining()
        if message.startswith(b"fail"):
            context.set_trailing_metadata((("told-bin", bytes(range(256))),))
            await context.abort(grpc.StatusCode.UNAVAILABLE, "%" + "ü" * int(message[4:]))
        if message == b"hold":
            self.held += 1
            await self.release.wait()
        return BIG if message == b"big" else message

    async def until_held(self, number: int) -> None:
        """So many calls are here."""
        async with asyncio.timeout(5):
            while self.held < number:
                await asyncio.sleep(0.001)


@asynccontextmanager
async def serving(address: str = "127.0.0.1:0") -> AsyncIterator[Server]:
    """A server until the block is left."""
    served = Server(grpc.aio.server(options=[*MESSAGE_OPTIONS, ("grpc.so_reuseport", 0)]))
    handlers = {"Z": grpc.unary_unary_rpc_method_handler(served.answer)}
    served.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("x.Y", handlers),))
    served.target = f"127.0.0.1:{served.server.add_insecure_port(address)}"
    await served.server.start()
    try:
        yield served
    finally:
        await served.server.stop(None)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """One for this test."""
    async with serving() as served:
        yield served


@pytest.fixture
def channel(server: Server) -> Iterable[LightChannel]:
    """To it."""
    with closing(LightChannel(server.target)) as made:
        yield made


def request(message: bytes, seconds: float = 30) -> Request:
    """A call with it."""
    return Request("127.0.0.1", METHOD, message, seconds)


async def test_a_picture_is_answered_whole(channel: LightChannel) -> None:
    """1.25 MB come as they were sent; who wants its size only is told the same."""
    assert await channel.answer(request(b"big")) == BIG
    assert await channel.size(request(b"big")) == len(BIG)


async def test_an_answer_may_be_empty(channel: LightChannel) -> None:
    """A message without fields is an answer."""
    assert (await channel.answer(request(b"")), await channel.size(request(b""))) == (b"", 0)


async def test_a_server_sees_any_client(server: Server, channel: LightChannel) -> None:
    """It is told who asks and for how long it may answer."""
    await channel.size(request(b"a fox", seconds=7))
    assert server.metadata["user-agent"] == "imagegate-bench"
    assert 6 < server.seconds <= 7


@pytest.mark.parametrize("length", [0, 20, 21, 22, 41, 42, 1000])
async def test_a_failing_call_tells_its_status(channel: LightChannel, length: int) -> None:
    """With its message of any length, whatever else is in its trailers; the next call is answered."""
    with pytest.raises(CallFailedError, match=f"^status 14, %ü{{{length}}}$") as failed:
        await channel.size(request(b"fail%d" % length))
    assert failed.value.status == grpc.StatusCode.UNAVAILABLE.value[0]
    assert await channel.size(request(b"fox")) == 3


async def test_a_call_out_of_time_is_given_up(server: Server, channel: LightChannel) -> None:
    """It fails after the request's seconds, by the server's word or without it, and the connection stays."""
    with pytest.raises((CallFailedError, TimeoutError)):
        await channel.size(request(b"hold", seconds=0.05))
    assert await channel.size(request(b"fox")) == 3
    assert len(server.peers) == 1


async def test_many_calls_share_a_connection(server: Server, channel: LightChannel) -> None:
    """Sixty-four at once, each with its own answer."""
    messages = [str(number).encode() * number for number in range(64)]
    assert await asyncio.gather(*(channel.answer(request(each)) for each in messages)) == messages
    big = await asyncio.gather(*(channel.answer(request(b"big")) for _ in range(16)))
    assert all(each == BIG for each in big)
    assert len(server.peers) == 1


async def test_thousands_of_calls_share_a_connection(server: Server, channel: LightChannel) -> None:
    """2,000 in a row; then more bytes than may be on their way, for which there is room again as they come."""
    for _ in range(2000):
        assert await channel.size(request(bytes(100))) == 100
    for _ in range(WINDOW // len(BIG) // 16 + 2):
        assert await asyncio.gather(*(channel.size(request(b"big")) for _ in range(16))) == [len(BIG)] * 16
    assert len(server.peers) == 1


async def test_after_the_last_stream_there_is_another_connection(server: Server) -> None:
    """Streams of a connection run out; calls under way on it are answered."""
    with closing(LightChannel(server.target, last_stream=5)) as channel:
        holding = asyncio.create_task(channel.answer(request(b"hold")))
        await server.until_held(1)
        for _ in range(7):
            assert await channel.size(request(b"fox")) == 3
        server.release.set()
        assert await holding == b"hold"
        assert len(server.peers) == 3


async def test_a_server_that_goes_takes_its_calls_with_it() -> None:
    """They fail at once; the next one fails with nobody there, and is answered by whoever comes."""
    async with serving() as server:
        channel = LightChannel(server.target)
        calls = [asyncio.create_task(channel.size(request(b"hold"))) for _ in range(16)]
        await server.until_held(16)
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(each) for each in outcomes] == [CallFailedError] * 16
    with pytest.raises(CallFailedError, match="nobody listens"):
        await channel.size(request(b"fox"))
    async with serving(server.target):
        assert await channel.size(request(b"fox")) == 3
        channel.close()


async def test_a_server_that_goes_slowly_answers_first(server: Server, channel: LightChannel) -> None:
    """What is under way is answered, and what comes after is not asked of it."""
    holding = asyncio.create_task(channel.answer(request(b"hold")))
    await server.until_held(1)
    stopping = asyncio.create_task(server.server.stop(10))
    server.release.set()
    assert await holding == b"hold"
    await stopping
    with pytest.raises(CallFailedError):
        await channel.size(request(b"fox"))
