"""fal's queue beyond what its client shows: status codes, URLs, order, and what a locked or foreign key sees."""

import asyncio

import aiohttp
import pytest

from imagegate.sandbox.app import Pace, serving

FOX = {"prompt": "a fox", "image_size": {"width": 256, "height": 192}}


@pytest.fixture
async def http():
    async with aiohttp.ClientSession(headers={"Authorization": "Key id:secret"}) as session:
        yield session


async def call(http, method, url, **options):
    async with http.request(method, url, **options) as answer:
        return answer.status, await answer.json(content_type=None)


async def submit(sandbox, http, app="fal-ai/flux/dev", body=FOX, **options):
    return (await call(http, "POST", f"{sandbox.url}/fal/queue/{app}", json=body, **options))[1]


async def finished(http, job):
    """The statuses seen on the way, with their HTTP codes, without repetitions."""
    seen = []
    async with asyncio.timeout(10):
        while not seen or seen[-1][1] != "COMPLETED":
            status, body = await call(http, "GET", job["status_url"])
            assert {"request_id", "response_url", "status_url", "cancel_url"} <= body.keys()
            if (status, body["status"]) not in seen:
                seen.append((status, body["status"]))
    return seen


async def test_life_of_a_job(http):
    """A job goes from 202 IN_QUEUE through 202 IN_PROGRESS to 200 COMPLETED; its URLs drop the app's sub-path."""
    async with serving(pace=Pace(fal_queue=0.2, fal_run=0.2)) as sandbox:
        job = await submit(sandbox, http)
        assert job["status_url"] == f"{sandbox.url}/fal/queue/fal-ai/flux/requests/{job['request_id']}/status"
        early = await call(http, "GET", job["response_url"])
        assert early == (400, {"detail": "Request is still in progress"})
        assert await finished(http, job) == [(202, "IN_QUEUE"), (202, "IN_PROGRESS"), (200, "COMPLETED")]
        status, output = await call(http, "GET", job["response_url"])
        assert (status, output["images"][0]["width"], output["images"][0]["height"]) == (200, 256, 192)
        assert (await call(http, "PUT", job["cancel_url"])) == (400, {"status": "ALREADY_COMPLETED"})


async def test_queue_position_and_cancel(http):
    """Jobs know how many wait before them; a cancelled one ends and is not billed."""
    async with serving(pace=Pace(fal_queue=30)) as sandbox:
        first, second = await submit(sandbox, http), await submit(sandbox, http)
        assert (first["queue_position"], second["queue_position"]) == (0, 1)
        assert await call(http, "PUT", first["cancel_url"]) == (202, {"status": "CANCELLATION_REQUESTED"})
        assert (await call(http, "GET", second["status_url"]))[1]["queue_position"] == 0
        _, status = await call(http, "GET", first["status_url"])
        assert (status["status"], "error" in status) == ("COMPLETED", True)
        assert [(entry["state"], entry["billed"]) for entry in sandbox.billing()] == [("cancelled", False)]


async def test_failed_job(sandbox, http):
    """A failure is COMPLETED with an error; the result replays the model's own 422."""
    job = await submit(sandbox, http, body={})
    await finished(http, job)
    _, status = await call(http, "GET", job["status_url"])
    assert status["error"] == "Field required"
    code, body = await call(http, "GET", job["response_url"])
    assert (code, body["detail"][0]["loc"]) == (422, ["body", "prompt"])


async def test_start_timeout(http):
    """A job that does not start within X-Fal-Request-Timeout fails with 504, and the header says whose limit it was."""
    async with serving(pace=Pace(fal_queue=30)) as sandbox:
        job = await submit(sandbox, http, headers={"X-Fal-Request-Timeout": "0.05"})
        await finished(http, job)
        async with http.get(job["response_url"]) as answer:
            assert (answer.status, answer.headers["X-Fal-Request-Timeout-Type"]) == (504, "user")


async def test_foreign_and_locked_keys(sandbox, http):
    """Another key does not see a job; a locked account may look at its jobs but not submit."""
    job = await submit(sandbox, http)
    other = {"Authorization": "Key other:secret"}
    assert (await call(http, "GET", job["status_url"], headers=other))[0] == 404
    assert (await call(http, "PUT", job["cancel_url"], headers=other)) == (404, {"status": "NOT_FOUND"})
    broke = {"Authorization": "Key id:broke"}
    assert "User is locked" in (await submit(sandbox, http, headers=broke))["detail"]
    assert (await call(http, "GET", job["status_url"], headers=broke))[0] in (200, 202)


async def test_subpath_in_job_urls(sandbox, http):
    """A client that builds the status URL with the app's sub-path is refused, as by the real queue."""
    job = await submit(sandbox, http)
    url = f"{sandbox.url}/fal/queue/fal-ai/flux/dev/requests/{job['request_id']}/status"
    assert (await call(http, "GET", url))[0] == 405


async def test_cdn_shows_keys(sandbox, http):
    """R14: a picture needs no key, and one that is sent to the CDN all the same can be seen in the ledger."""
    job = await submit(sandbox, http)
    await finished(http, job)
    _, output = await call(http, "GET", job["response_url"])
    async with aiohttp.ClientSession() as anonymous, anonymous.get(output["images"][0]["url"]) as answer:
        assert (answer.status, answer.content_type) == (200, "image/jpeg")
    async with http.get(output["images"][0]["url"]):
        pass
    downloads = [each["headers"] for each in sandbox.requests() if each["path"].startswith("/fal/cdn/")]
    assert ["authorization" in headers for headers in downloads] == [False, True]
    assert "secret" not in str(sandbox.requests())


async def test_not_built(sandbox, http):
    """What is not played answers an error, never a made-up success."""
    for method, path in (("GET", "/fal/rest/tokens/"), ("POST", "/fal/cdn/files/upload/multipart")):
        async with http.request(method, sandbox.url + path) as answer:
            assert answer.status in (404, 405)
    answer = await submit(sandbox, http, app="fal-ai/flux/dev?fal_webhook=http://x")
    assert answer == {"detail": "The sandbox does not play webhooks."}
