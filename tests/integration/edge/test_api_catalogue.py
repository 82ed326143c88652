"""What there is to choose from, over HTTP."""

import asyncio
import base64
from pathlib import Path

from pydantic import BaseModel

from imagegate.edge.api.catalogue import KEPT_SECONDS, Kept
from imagegate.edge.caller import Caller
from imagegate.edge.endpoint import Call
from imagegate.runtime import images
from imagegate.testing import FakeClock
from imagegate.testing.fronted import ServedEdge, serving_edge


async def test_the_catalogue_has_all_that_a_form_needs(edge: ServedEdge) -> None:
    """P8, P10: models, providers, routes, qualities, tasks and use cases come in one answer."""
    async with edge.session() as alice, alice.get("/api/catalogue") as answer:
        told = await answer.json()
    assert set(told) == {"models", "providers", "routes", "qualities", "tasks", "use_cases"}
    assert {model["provider"] for model in told["models"]} == {"huggingface", "fal", "automatic1111"}
    assert [each["name"] for each in told["providers"]] == ["huggingface", "fal", "automatic1111"]
    routes = {route["name"]: route for route in told["routes"]}
    assert routes["web"]["candidates"] == ["huggingface/flux-schnell", "automatic1111/local"]
    assert routes["web"]["available"] is True
    assert told["qualities"] == ["SD", "HD", "ULTRA", "PREMIUM"]
    assert told["tasks"][:2] == ["TEXT_TO_IMAGE", "IMAGE_TO_IMAGE"]
    assert "fast drafts and prototypes" in told["use_cases"]


async def test_poses_come_with_their_pictures(edge: ServedEdge) -> None:
    """P10: every pose template comes with a picture that a page can show."""
    async with edge.session() as alice, alice.get("/api/poses") as answer:
        told = await answer.json()
    assert told["templates"]
    assert told["message"] == ""
    for template in told["templates"]:
        kind, _, data = template["image"].partition(",")
        found = images.inspect(base64.b64decode(data))
        assert (kind, found.width) == (f"data:{found.mime_type};base64", template["width"])


async def test_a_router_that_is_away_is_a_problem(tmp_path: Path) -> None:
    """R10: where the router cannot be asked, the catalogue says so, and when to try again."""
    async with (
        serving_edge("127.0.0.1:1", tmp_path) as edge,
        edge.session() as alice,
        alice.get("/api/catalogue") as answer,
    ):
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert (await answer.json())["reason"] == "UNREACHABLE"


class Number(BaseModel):
    n: int


class Asked:
    """Counts how often it was asked; answers when it is let go."""

    def __init__(self) -> None:
        self.times = 0
        self.go_on = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self) -> Number:
        self.times += 1
        await self.go_on.wait()
        if self.error is not None:
            raise self.error
        return Number(n=self.times)


async def test_an_answer_for_everybody_is_asked_for_once() -> None:
    """Many who ask at once cause one question, whoever of them leaves; after some seconds it is asked again."""
    asked, clock = Asked(), FakeClock()
    kept = Kept(asked, clock)
    call = Call(request=None, caller=Caller("alice"), request_id="r")  # type: ignore[arg-type]
    waiting = [asyncio.create_task(kept.answer(call)) for _ in range(3)]
    await asyncio.sleep(0)
    waiting.pop(0).cancel()
    asked.go_on.set()
    assert [answer.text for answer in await asyncio.gather(*waiting)] == ['{"n":1}'] * 2
    clock.advance(KEPT_SECONDS - 0.1)
    assert (await kept.answer(call)).text == '{"n":1}'
    clock.advance(0.2)
    assert (await kept.answer(call)).text == '{"n":2}'


async def test_a_question_that_fails_is_asked_again() -> None:
    """A failure is told to everybody who waits for it, and to nobody after them."""
    asked = Asked()
    asked.error = ValueError("away")
    asked.go_on.set()
    kept = Kept(asked, FakeClock())
    call = Call(request=None, caller=Caller("alice"), request_id="r")  # type: ignore[arg-type]
    told = await asyncio.gather(kept.answer(call), kept.answer(call), return_exceptions=True)
    assert told == [asked.error, asked.error]
    asked.error = None
    assert (await kept.answer(call)).text == '{"n":2}'
