"""How a test scripts the sandbox from outside: `/_faults`, `/_requests`, `/_billing`."""

import aiohttp
import pytest


@pytest.fixture
async def http(sandbox):
    async with aiohttp.ClientSession(sandbox.url) as session:
        yield session


async def call(http, method, path, **options):
    async with http.request(method, path, **options) as answer:
        assert answer.headers["x-imagegate-sandbox"] == "true"
        return answer.status, await answer.json()


async def test_faults(http):
    """Rules are put, shown and deleted; bad ones are refused by name and change nothing."""
    rules = [{"upstream": "fal", "fault": "status", "code": 503, "times": 2}]
    assert await call(http, "PUT", "/_faults", json=rules) == (200, rules)
    bad = await call(http, "PUT", "/_faults", json=[{"upstream": "fal", "fault": "stauts"}])
    assert bad == (400, {"error": "rule 0: unknown fault 'stauts'; did you mean 'status'?"})
    assert (await call(http, "PUT", "/_faults", data="{"))[0] == 400
    assert await call(http, "GET", "/_faults") == (200, rules)
    assert await call(http, "DELETE", "/_faults") == (200, [])
    assert await call(http, "GET", "/_faults") == (200, [])


async def test_requests_and_billing(http):
    """R6, R14: what was sent can be asked for, without its key; what was made stands in the bill."""
    path = "/huggingface/hf-inference/models/black-forest-labs/FLUX.1-schnell"
    body = {"inputs": "a fox", "parameters": {"seed": 5}}
    async with http.post(path, json=body, headers={"Authorization": "Bearer hf_s3cret"}) as answer:
        assert answer.status == 200
    _, (asked,) = await call(http, "GET", "/_requests")
    assert (asked["method"], asked["path"], asked["body"], asked["status"]) == ("POST", path, body, 200)
    assert asked["headers"]["authorization"] == "Bearer ***"
    _, (bill,) = await call(http, "GET", "/_billing")
    assert bill.pop("id")
    assert bill == {
        "upstream": "huggingface",
        "model": "black-forest-labs/FLUX.1-schnell",
        "prompt": "a fox",
        "seed": 5,
        "state": "finished",
        "billed": True,
        "instructions": [],
    }
    assert await call(http, "DELETE", "/_requests") == (200, [])
    assert await call(http, "GET", "/_requests") == (200, [])


async def test_index(http):
    """The index names the world and the prefixes; what lies under none of them is not found."""
    _, index = await call(http, "GET", "/")
    assert index["world"] == "today"
    assert "/fal/queue" in index["prefixes"]
    async with http.get("/comfyui/prompt") as answer:
        assert answer.status == 404
