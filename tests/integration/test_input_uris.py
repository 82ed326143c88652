"""Pictures that a request names by their address: where they may lie, and what is said of all other places."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from imagegate.runtime.entrance import Entrance
from imagegate.runtime.errors import Failure
from imagegate.runtime.uri_inputs import NotFetchedError, UriInputs
from imagegate.testing import picture
from imagegate.v1 import generation_pb2

LOCAL = "127.0.0.1"
PNG = picture()

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def good(_request: web.Request) -> web.StreamResponse:
    """A picture that says it is something else."""
    return web.Response(body=PNG, content_type="text/html")


class Place:
    """A server that answers by the path that it is asked for, and remembers what it was asked."""

    def __init__(self, **answers: Answer) -> None:
        self.answers = answers
        self.seen: list[web.Request] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        return await self.answers[request.path.strip("/")](request)


@asynccontextmanager
async def serving(**answers: Answer) -> AsyncIterator[Place]:
    place = Place(**answers)
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", place.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    try:
        await web.TCPSite(runner, LOCAL, 0).start()
        place.url = f"http://{LOCAL}:{runner.addresses[0][1]}"
        yield place
    finally:
        await runner.cleanup()


@asynccontextmanager
async def fetching(place: Place, **bounds: float) -> AsyncIterator[UriInputs]:
    """Inputs by address, for which this one place is as good as a public one."""
    uris = UriInputs((place.url,), **bounds)
    try:
        yield uris
    finally:
        await uris.close()


def moved(location: str) -> Answer:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": location})

    return answer


async def test_what_lies_there_is_fetched_without_credentials() -> None:
    """A picture is what its bytes say, whatever it is called; nothing of ours goes along with the question."""
    async with serving(good=good) as place, fetching(place) as uris:
        assert await uris.fetch(f"{place.url}/good") == PNG
        headers = place.seen[0].headers
    assert not {"Authorization", "Cookie", "Proxy-Authorization"} & set(headers)


async def test_a_picture_by_address_goes_on_as_data() -> None:
    """P3: whoever is sent the request learns nothing of the address."""
    image = generation_pb2.InputImage()
    async with serving(good=good) as place, fetching(place) as uris:
        image.uri = f"{place.url}/good"
        part = generation_pb2.ImageToImage(image=image)
        entrance = Entrance(uris=uris)
        admitted = await entrance.admit(generation_pb2.GenerateRequest(prompt="x", image_to_image=part))
        await entrance.close()
    assert admitted.image_to_image.image == generation_pb2.InputImage(data=PNG)


async def test_three_redirects_are_followed_and_no_more() -> None:
    """Where an address leads on to, that is looked at again."""
    hops = {"a": moved("/b"), "b": moved("/c"), "c": moved("/good"), "good": good, "one_more": moved("/a")}
    async with serving(**hops) as place, fetching(place) as uris:
        assert await uris.fetch(f"{place.url}/a") == PNG
        with pytest.raises(NotFetchedError):
            await uris.fetch(f"{place.url}/one_more")


@pytest.mark.parametrize(
    "uri",
    [
        "http://example.com/a.png",
        "ftp://example.com/a.png",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
        "a.png",
        "//example.com/a.png",
        "https://",
        "https://[::1",
        "https://me:secret@example.com/a.png",
        "https://127.0.0.1/a.png",
        "https://127.1/a.png",
        "https://2130706433/a.png",
        "https://[::ffff:127.0.0.1]/a.png",
        "https://169.254.169.254/latest/meta-data/",
        "https://10.0.0.1/",
        "https://[fd00::1]/",
        "https://localhost/a.png",
        "https://nowhere.invalid/a.png",
        "https://" + "a" * 300 + ".com/",
        "https://exa mple.com/\r\nHost: x",
    ],
)
async def test_every_place_that_may_not_be_asked_looks_alike(uri: str) -> None:
    """Only https at public addresses; nobody finds out by our words what there is in a network."""
    uris = UriInputs()
    entrance = Entrance(uris=uris)
    part = generation_pb2.ImageToImage(image=generation_pb2.InputImage(uri=uri))
    with pytest.raises(Failure) as caught:
        await entrance.admit(generation_pb2.GenerateRequest(prompt="x", image_to_image=part))
    await entrance.close()
    told = [(violation.field, violation.description) for violation in caught.value.violations]
    assert told == [("image_to_image.image", "cannot be fetched from there")]


async def test_nothing_leads_inside() -> None:
    """An address that is allowed and redirects to one that is not fetches nothing there."""
    async with serving(good=good) as inside:
        hops = {"port": moved(f"{inside.url}/good"), "name": moved(inside.url.replace(LOCAL, "localhost") + "/good")}
        async with serving(**hops) as place, fetching(place) as uris:
            for path in hops:
                with pytest.raises(NotFetchedError):
                    await uris.fetch(f"{place.url}/{path}")
        assert not inside.seen


async def test_what_is_too_large_too_slow_or_not_there_is_not_fetched() -> None:
    """10 MiB and 10 s are the most that an address gets; here, less."""

    async def large(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=bytes(300_000))

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x")
            await asyncio.sleep(0.01)

    async def dawdling(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(20):  # above the rate below which a body is given up, and it comes to an end
            await response.write(bytes(2_000))
            await asyncio.sleep(0.1)
        return response

    async def silent(_request: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError("nobody tells it to go on")

    async def missing(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=404)

    answers = {"large": large, "endless": endless, "dawdling": dawdling, "silent": silent, "missing": missing}
    async with serving(**answers) as place, fetching(place, max_bytes=200_000, max_seconds=0.5) as uris:
        for path in answers:
            with pytest.raises(NotFetchedError):
                await uris.fetch(f"{place.url}/{path}")


async def test_four_are_fetched_at_a_time() -> None:
    """Requests that name many addresses wait for one another."""
    under_way, most, go_on = 0, 0, asyncio.Event()

    async def slow(_request: web.Request) -> web.StreamResponse:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await go_on.wait()
        under_way -= 1
        return web.Response(body=PNG)

    async with serving(slow=slow) as place, fetching(place) as uris:
        calls = [asyncio.create_task(uris.fetch(f"{place.url}/slow")) for _ in range(9)]
        async with asyncio.timeout(10):
            while under_way < 4:
                await asyncio.sleep(0.01)
        go_on.set()
        assert await asyncio.gather(*calls) == [PNG] * 9
    assert most == 4
