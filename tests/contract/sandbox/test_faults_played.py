"""Every fault on a real socket: what the client sees, and what is billed for it."""

import asyncio
import base64
import io
import time

import aiohttp
import pytest
from PIL import Image

SCHNELL = "black-forest-labs/FLUX.1-schnell"
SIZE = {"width": 256, "height": 256}


@pytest.fixture
async def http():
    async with aiohttp.ClientSession() as session:
        yield session


def script(sandbox, fault, upstream="huggingface", **fields):
    sandbox.faults([{"upstream": upstream, "fault": fault, **fields}])


def generate(sandbox, http, **options):
    """One POST to hf-inference, as a context manager."""
    return http.post(
        f"{sandbox.url}/huggingface/hf-inference/models/{SCHNELL}",
        json={"inputs": "a fox", "parameters": SIZE},
        headers={"Authorization": "Bearer hf_free", "Accept": "image/png"},
        **options,
    )


async def outcome(sandbox, http, **options):
    async with generate(sandbox, http, **options) as answer:
        return answer.status, answer.content_type, await answer.read()


def billed(sandbox):
    return [entry["billed"] for entry in sandbox.billing()]


async def test_status(sandbox, http):
    """`status` answers with the code, headers and body of the rule; by default nothing was done."""
    script(sandbox, "status", code=429, headers={"Retry-After": "7"}, body={"error": "slow down"}, times=1)
    async with generate(sandbox, http) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (429, "7")
        assert answer.headers["x-imagegate-sandbox"] == "true"
        assert await answer.json() == {"error": "slow down"}
    assert billed(sandbox) == []
    assert (await outcome(sandbox, http))[0] == 200


async def test_a_header_that_is_left_out(sandbox, http):
    """A header that is null is left out, also where the upstream would stamp it: so an ingress answers in its place."""
    for headers, is_there in (({}, True), ({"x-request-id": None}, False)):
        script(sandbox, "status", code=502, body="<html>nginx</html>", headers=headers)
        async with generate(sandbox, http) as answer:
            assert (answer.status, "x-request-id" in answer.headers) == (502, is_there)


async def test_status_executed(sandbox, http):
    """`executed` has the generation done and billed behind a bad answer."""
    script(sandbox, "status", code=502, body="<html>nginx</html>", headers={"content-type": "text/html"}, executed=True)
    assert await outcome(sandbox, http) == (502, "text/html", b"<html>nginx</html>")
    assert billed(sandbox) == [True]


async def test_an_ingress(sandbox, http):
    """A 5xx behind which the work is done is by something in front of the upstream, and bears no id of its own."""
    for executed, stamped in ((True, False), (False, True)):
        script(sandbox, "status", code=502, executed=executed)
        async with generate(sandbox, http) as answer:
            assert ("x-request-id" in answer.headers, answer.status) == (stamped, 502)


async def test_loading(sandbox, http):
    """R8: `loading` is the cold model's 503 with its estimate, in the world of today too."""
    script(sandbox, "loading", seconds=42.5)
    async with generate(sandbox, http) as answer:
        assert answer.status == 503
        loading = {"error": f"Model {SCHNELL} is currently loading", "estimated_time": 42.5}
        assert await answer.json() == loading
    assert billed(sandbox) == []


async def test_delay(sandbox, http):
    """`delay` waits and then answers as usual."""
    script(sandbox, "delay", seconds=0.2)
    started = time.monotonic()
    assert (await outcome(sandbox, http))[0] == 200
    assert time.monotonic() - started >= 0.2


@pytest.mark.parametrize(("executed", "charged"), [(True, [True]), (False, [])])
async def test_leaving_during_delay(sandbox, http, executed, charged):
    """R10: who times out during an executed delay is billed all the same, else nothing is done for who has gone."""
    script(sandbox, "delay", seconds=30, executed=executed)
    with pytest.raises(TimeoutError):
        await outcome(sandbox, http, timeout=aiohttp.ClientTimeout(0.5))
    assert billed(sandbox) == charged


async def test_staying_during_delay(sandbox, http):
    """Who waits for a delay gets what is made after it, and it is billed."""
    script(sandbox, "delay", seconds=0.05, executed=False)
    assert (await outcome(sandbox, http))[0] == 200
    assert billed(sandbox) == [True]


@pytest.mark.parametrize("seconds", [None, 0.1])
async def test_hang(sandbox, http, seconds):
    """R10: `hang` accepts, works, bills and never answers: until the client leaves, or hangs up after `seconds`."""
    script(sandbox, "hang", **({} if seconds is None else {"seconds": seconds}))
    with pytest.raises((TimeoutError, aiohttp.ServerDisconnectedError)):
        await outcome(sandbox, http, timeout=aiohttp.ClientTimeout(1))
    assert billed(sandbox) == [True]
    assert sandbox.requests()[0]["fault"] == "hang"


async def test_reset(sandbox, http):
    """R10: `reset` is a connection reset before any byte of the answer."""
    script(sandbox, "reset")
    with pytest.raises(aiohttp.ClientOSError):
        await outcome(sandbox, http)
    assert billed(sandbox) == [True]


async def test_reset_mid_body(sandbox, http):
    """R10: `reset_mid_body` is a reset after a good status line and half of the body."""
    script(sandbox, "reset_mid_body")
    with pytest.raises(aiohttp.ClientError):
        await outcome(sandbox, http)
    assert sandbox.requests()[0]["status"] == 200


async def test_slow(sandbox, http):
    """`slow` drips the body at `bytes` a second."""
    script(sandbox, "slow", bytes=200)
    async with generate(sandbox, http) as answer:
        assert int(answer.headers["Content-Length"]) > 1000
        started = time.monotonic()
        first = await answer.content.readexactly(100)
    assert first.startswith(b"\x89PNG")
    assert time.monotonic() - started >= 0.3


async def test_huge(sandbox, http):
    """`huge` begins like the real answer and goes on for `bytes`."""
    script(sandbox, "huge", bytes=1_000_000)
    status, kind, body = await outcome(sandbox, http)
    assert (status, kind, len(body)) == (200, "image/png", 1_000_000)
    assert body.startswith(b"\x89PNG")


async def test_endless(sandbox, http):
    """`huge` with `bytes` 0 goes on until the client leaves."""
    script(sandbox, "huge", bytes=0)
    async with generate(sandbox, http) as answer:
        for _ in range(20):
            await answer.content.readexactly(1_000_000)
    assert billed(sandbox) == [True]


async def test_html_and_json_200(sandbox, http):
    """`html` and `json_200` are lies told with status 200."""
    script(sandbox, "html")
    assert (await outcome(sandbox, http))[:2] == (200, "text/html")
    script(sandbox, "json_200", body={"error": "overloaded"})
    assert await outcome(sandbox, http) == (200, "application/json", b'{"error": "overloaded"}')
    assert billed(sandbox) == [True, True]


@pytest.mark.parametrize("fault", ["truncate", "wrong_size", "black", "blank", "bomb"])
async def test_picture_faults(sandbox, http, fault):
    """The faults of pictures come in a well-formed answer whose bytes differ from the sound picture's."""
    sound = await outcome(sandbox, http)
    script(sandbox, fault)
    spoilt = await outcome(sandbox, http)
    assert spoilt[:2] == sound[:2] == (200, "image/png")
    assert spoilt[2] != sound[2]
    assert billed(sandbox) == [True, True]


async def test_picture_faults_of_automatic1111(sandbox, http):
    """For AUTOMATIC1111 a picture's fault spoils what is inside the JSON answer; a list does not use it up."""
    script(sandbox, "black", upstream="automatic1111", times=1)
    api = f"{sandbox.url}/automatic1111/sdapi/v1"
    async with http.get(f"{api}/samplers") as answer:
        assert answer.status == 200
    async with http.post(f"{api}/txt2img", json={"prompt": "a fox", "steps": 1}) as answer:
        (image,) = (await answer.json())["images"]
    assert Image.open(io.BytesIO(base64.b64decode(image))).getcolors() == [(512 * 512, (0, 0, 0))]


async def test_picture_faults_of_fal(sandbox, http):
    """For fal a picture's fault is decided with the job, shows in its flags and spoils every download of it."""
    script(sandbox, "black", upstream="fal", times=1)
    flagged = await run_fal(sandbox, http)
    sound = await run_fal(sandbox, http)
    assert (flagged["has_nsfw_concepts"], sound["has_nsfw_concepts"]) == ([True], [False])
    for output, colours in ((flagged, 1), (sound, None)):
        for _ in range(2):
            async with http.get(output["images"][0]["url"]) as answer:
                found = Image.open(io.BytesIO(await answer.read())).getcolors()
                assert (found and len(found)) == colours


async def test_picture_faults_of_the_cdn(sandbox, http):
    """A rule whose path names the CDN spoils that download only."""
    script(sandbox, "truncate", upstream="fal", path="/fal/cdn/*", times=1)
    url = (await run_fal(sandbox, http))["images"][0]["url"]
    sizes = []
    for _ in range(2):
        async with http.get(url) as answer:
            sizes.append(len(await answer.read()))
    assert sizes[0] == sizes[1] // 2


async def run_fal(sandbox, http):
    headers = {"Authorization": "Key id:secret"}
    async with http.post(
        f"{sandbox.url}/fal/run/fal-ai/flux/schnell", json={"prompt": "a fox"}, headers=headers
    ) as answer:
        return await answer.json()


async def test_requests_go_on_beside_a_hang(sandbox, http):
    """A fault holds up its own call only."""
    script(sandbox, "hang", times=1)
    hanging = asyncio.create_task(outcome(sandbox, http))
    async with asyncio.timeout(10):
        while not (await (await http.get(f"{sandbox.url}/_requests")).json()):
            pass
    assert (await outcome(sandbox, http))[0] == 200
    hanging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hanging
