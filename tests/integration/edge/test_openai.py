"""OpenAI's own client against the edge: everything that it is used for here, and what it makes of our errors."""

import asyncio
import base64
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from PIL import Image

from imagegate.runtime import images
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.sandbox.app import Pace
from imagegate.testing import SCRIPTED_FOR_EVERYTHING, Hang, House, Telling, picture
from imagegate.testing.fronted import ALICE, ServedEdge, serving_edge
from imagegate.testing.sandboxed import Sandboxed, serving_sandboxed
from imagegate.testing.serving import serving_router
from imagegate.v1 import generation_pb2

AS_JSON = {"Content-Type": "application/json"}
RUNNING = generation_pb2.PHASE_RUNNING


@asynccontextmanager
async def a_client(edge: ServedEdge, key: str = ALICE, max_retries: int = 0) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{edge.url}/v1", api_key=key, max_retries=max_retries) as client:
        yield client


@asynccontextmanager
async def scripted(house: House, folder: Path, *scripts: Any, **changes: Any) -> AsyncIterator[ServedEdge]:
    """An edge over a router over scripted providers."""
    settings = changes.pop("settings", None)
    await house.build(*scripts, **changes)
    async with serving_edge(house.router.target, folder, settings=settings) as edge:
        yield edge


def provenance(answer: Any) -> Any:
    """What our block beside the answer says."""
    return answer.model_extra["imagegate"]


def decoded(b64_json: str | None) -> bytes:
    return base64.b64decode(b64_json or "")


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


async def test_pictures_come_as_their_client_expects_them(edge: ServedEdge) -> None:
    """P9: the real client gets its picture in base64 unless it says otherwise, and beside it how it came about."""
    async with a_client(edge) as client:
        answer = await client.images.generate(prompt="a lighthouse", size="512x512", extra_body={"seed": 7})
    [datum] = answer.data or []
    seen = images.inspect(decoded(datum.b64_json))
    assert (seen.width, seen.height) == (512, 512)
    assert (answer.size, answer.output_format) == ("512x512", seen.format.lower())
    assert answer.usage is None
    told = provenance(answer)
    assert (told["provider"], told["model"], told["seed"]) == ("huggingface", "flux-schnell", 7)
    assert told["parameters"] == {"width": 512, "height": 512, "seed": 7}
    assert told["sandbox"] is True
    [kept] = await edge.house.gallery.page("alice")
    assert [each["id"] for each in told["pictures"]] == [kept.id]


async def test_a_url_is_a_link_that_anybody_can_follow(edge: ServedEdge) -> None:
    """P9, P10: `response_format="url"` gives an absolute, signed link, which needs no key and serves the picture."""
    async with a_client(edge) as client:
        answer = await client.images.generate(prompt="a lighthouse", response_format="url")
    [datum] = answer.data or []
    assert datum.url is not None
    assert datum.url.startswith(f"{edge.url}/uploads/images/user-alice/")
    assert datum.b64_json is None
    async with aiohttp.ClientSession() as nobody, nobody.get(datum.url) as served:
        assert served.status == 200
        data = await served.read()
    assert images.inspect(data).format.lower() == answer.output_format


async def test_links_begin_with_the_public_address_where_one_is_set(house: House, tmp_path: Path) -> None:
    """Behind a proxy a link has the address that callers know, not the one that the proxy uses."""
    async with (
        scripted(house, tmp_path, [], settings={"public_url": "https://pictures.example/"}) as edge,
        a_client(edge) as client,
    ):
        answer = await client.images.generate(prompt="x", response_format="url")
    assert str((answer.data or [])[0].url).startswith("https://pictures.example/uploads/images/user-alice/")


async def test_several_pictures_have_seeds_in_a_row(edge: ServedEdge) -> None:
    """P9: `n=3` gives three pictures of one order, by the blocking client as well."""

    def ask() -> Any:
        with OpenAI(base_url=f"{edge.url}/v1", api_key=ALICE, max_retries=0) as client:
            return client.images.generate(prompt="a lighthouse", n=3, size="auto", extra_body={"seed": 40})

    answer = await asyncio.to_thread(ask)
    assert len({datum.b64_json for datum in answer.data}) == 3
    assert [each["seed"] for each in provenance(answer)["pictures"]] == [40, 41, 42]


async def test_a_stream_has_partial_images_and_then_the_picture(tmp_path: Path) -> None:
    """A webui's previews become partial images, at most as many as were asked for; the whole picture comes last."""
    environ = {"SD_EXCLUSIVE": "true"}
    async with (
        serving_sandboxed(("automatic1111",), environ=environ, pace=Pace(automatic1111_step=0.05)) as upstreams,
        serving_router(upstreams.targets, {"default": ["automatic1111/local"]}) as router,
        serving_edge(router.target, tmp_path) as edge,
        a_client(edge) as client,
    ):
        stream = await client.images.generate(prompt="a lighthouse", stream=True, partial_images=2, quality="high")
        events = [event async for event in stream]
    *partial, completed = events
    assert completed.type == "image_generation.completed"
    assert 1 <= len(partial) <= 2
    for number, event in enumerate(partial):
        assert event.type == "image_generation.partial_image"
        assert event.partial_image_index == number
        assert images.inspect(decoded(event.b64_json)).format.lower() == event.output_format
    seen = images.inspect(decoded(completed.b64_json))
    assert completed.size == f"{seen.width}x{seen.height}"
    assert completed.quality == "high"
    assert provenance(completed)["provider"] == "automatic1111"


async def test_a_stream_that_fails_at_once_fails_with_a_status(house: House, tmp_path: Path) -> None:
    """R10: what fails before there is anything to send is the same error as without a stream."""
    down = Failure(Reason.UPSTREAM_ERROR, "it is broken", remedy="repair it", dispatch=Dispatch.REFUSED)
    async with scripted(house, tmp_path, [down]) as edge, a_client(edge) as client:
        with pytest.raises(openai.InternalServerError) as caught:
            await client.images.generate(prompt="x", stream=True)
    assert caught.value.status_code == 503
    assert [each["reason"] for each in caught.value.body["imagegate"]["attempts"]] == ["UPSTREAM_ERROR"]  # type: ignore[index]


async def test_a_stream_that_fails_later_tells_it_as_an_event(house: House, tmp_path: Path) -> None:
    """R10: a failure after a partial image is raised by the client with our words and code."""
    preview = generation_pb2.Image(data=picture(), mime_type="image/png")
    down = Failure(Reason.UPSTREAM_ERROR, "it broke halfway", dispatch=Dispatch.REFUSED)
    telling = Telling([{"phase": RUNNING, "step": 1, "steps": 2, "preview": preview}], down)
    async with scripted(house, tmp_path, [telling]) as edge, a_client(edge) as client:
        stream = await client.images.generate(prompt="x", stream=True, partial_images=1)
        assert (await anext(aiter(stream))).type == "image_generation.partial_image"
        with pytest.raises(openai.APIError) as caught:
            await anext(aiter(stream))
    assert "it broke halfway" in caught.value.message
    assert caught.value.code == "server_error"


async def test_leaving_a_stream_ends_the_work(house: House, tmp_path: Path) -> None:
    """A client that leaves, with or without a stream, stops what was begun for it."""
    preview = generation_pb2.Image(data=picture(), mime_type="image/png")
    begun = Telling([{"phase": RUNNING, "preview": preview}], Hang())
    async with scripted(house, tmp_path, [begun, Hang()]) as edge, a_client(edge) as client:
        stream = await client.images.generate(prompt="x", stream=True, partial_images=1)
        async for _ in stream:
            break
        await stream.close()
        provider = house.providers["a"]
        await until(lambda: provider.cancelled == 1)
        waiting = asyncio.ensure_future(client.images.generate(prompt="x"))
        await until(lambda: len(provider.orders) == 2)
        waiting.cancel()
        await until(lambda: provider.cancelled == 2)


async def test_an_edit_repaints_what_is_transparent_in_the_mask(edge: ServedEdge, upstreams: Sandboxed) -> None:
    """P9: the upstream is sent a mask that is white where theirs is transparent; what lies beside it stays."""
    photo = picture(320, 256)
    async with a_client(edge) as client:
        answer = await client.images.edit(
            image=("photo.png", photo, "image/png"),
            mask=("mask.png", a_mask((320, 256), transparent=(0, 0, 160, 256)), "image/png"),
            prompt="a lighthouse",
            extra_body={"mask_blur": 0, "strength": 0.9, "seed": 5},
        )
    [asked] = [each for each in upstreams.sandbox.requests() if each["path"] == "/automatic1111/sdapi/v1/img2img"]
    sent: Any = asked["body"]
    mask = Image.open(io.BytesIO(decoded(sent["mask"]))).convert("L")
    assert mask.getcolors() is not None
    assert mask.crop((0, 0, 160, 256)).getextrema() == (255, 255)
    assert mask.crop((160, 0, 320, 256)).getextrema() == (0, 0)
    before = Image.open(io.BytesIO(photo)).convert("RGB")
    after = Image.open(io.BytesIO(decoded((answer.data or [])[0].b64_json))).convert("RGB")
    assert after.size == before.size
    assert after.crop((160, 0, 320, 256)).tobytes() == before.crop((160, 0, 320, 256)).tobytes()
    assert after.crop((0, 0, 160, 256)).tobytes() != before.crop((0, 0, 160, 256)).tobytes()
    assert provenance(answer)["parameters"]["inpainting"]["strength"] == 0.9


async def test_of_several_pictures_the_first_is_edited(edge: ServedEdge, upstreams: Sandboxed) -> None:
    """R1: pictures that no model could make sense of are left out and told of, or refused where the caller says so."""
    several = [("one.png", picture(320, 256), "image/png"), ("two.png", picture(64, 64), "image/png")]
    async with a_client(edge) as client:
        answer = await client.images.edit(image=several, prompt="a lighthouse")
        with pytest.raises(openai.BadRequestError) as caught:
            await client.images.edit(image=several, prompt="x", extra_body={"on_unsupported": "REFUSE"})
    assert answer.size == "320x256"
    [dropped] = [each for each in provenance(answer)["adjustments"] if each["parameter"] == "image"]
    assert (dropped["action"], dropped["applied"]) == ("DROPPED", "the first")
    assert caught.value.param == "image"
    assert len([each for each in upstreams.sandbox.requests() if str(each["path"]).endswith("img2img")]) == 1


async def test_an_edit_streams_under_its_own_names(house: House, tmp_path: Path) -> None:
    """The events of an edit are called image_edit."""
    models = (SCRIPTED_FOR_EVERYTHING,)
    async with scripted(house, tmp_path, [], models=models) as edge, a_client(edge) as client:
        stream = await client.images.edit(image=picture(), prompt="x", stream=True)
        assert [event.type async for event in stream] == ["image_edit.completed"]


async def test_what_is_wrong_with_an_edit_goes_by_their_names(edge: ServedEdge) -> None:
    """P12: a mask of another size, one without transparency, no picture and an unknown file are refused by name."""
    photo, opaque = picture(320, 256), picture(320, 256, seed=1)
    another = a_mask((64, 64), transparent=(0, 0, 32, 32))
    async with a_client(edge) as client:
        for mask, told in ((another, "64 × 64"), (opaque, "transparen"), (b"GIF89a", "a GIF")):
            with pytest.raises(openai.BadRequestError, match=told) as caught:
                await client.images.edit(image=photo, mask=mask, prompt="x")
            assert caught.value.param == "mask"
        with pytest.raises(openai.BadRequestError) as caught:
            await client.images.edit(image=b"no picture", prompt="x")
        assert caught.value.param == "image"
        with pytest.raises(openai.BadRequestError) as caught:
            await client.images.edit(image=photo, prompt=" ", n=9, markup=another)
    assert named(caught.value) == {"prompt", "n", "markup"}


async def test_every_wrong_parameter_is_told_at_once(edge: ServedEdge, upstreams: Sandboxed) -> None:
    """P12: all of them are in one answer, unknown ones with the nearest known, and nothing is asked of an upstream."""
    wrong: Any = {"n": 9, "size": "huge", "quality": "best", "output_format": "gif", "background": "transparent"}
    ours = {"seed": -2, "steps": "many", "negativ_prompt": "fog", "guidance_scale": 51, "model": 3}
    async with a_client(edge) as client:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.images.generate(prompt="", partial_images=4, **wrong, extra_body=ours)
    assert named(caught.value) == {"prompt", "partial_images", *wrong, *ours}
    assert "negative_prompt" in caught.value.message
    assert caught.value.type == "invalid_request_error"
    assert caught.value.request_id
    with pytest.raises(openai.BadRequestError) as caught:
        async with a_client(edge) as client:
            await client.images.generate(prompt="x", extra_body={"credits": 5})
    assert (caught.value.code, caught.value.param) == ("unknown_parameter", "credits")
    assert upstreams.sandbox.billing() == []


async def test_what_nobody_can_keep_is_told(house: House, tmp_path: Path) -> None:
    """R1: a parameter of theirs that no model here has is left out and told of, never silently."""
    more: Any = {"style": "vivid", "output_compression": 50, "moderation": "low", "user": "u-1"}
    neutral: Any = {"background": "auto"}
    async with scripted(house, tmp_path, []) as edge, a_client(edge) as client:
        answer = await client.images.generate(prompt="x", **more, **neutral)
        assert {each["parameter"] for each in provenance(answer)["adjustments"]} == set(more)
        with pytest.raises(openai.BadRequestError) as caught:
            await client.images.generate(prompt="x", **more, extra_body={"on_unsupported": "REFUSE"})
    assert named(caught.value) == set(more) - {"user"}
    assert len(house.providers["a"].orders) == 1


async def test_models_are_routes_and_what_the_catalogue_has(edge: ServedEdge) -> None:
    """P1: what is listed may be asked for, ids with slashes included; what is not there names the nearest."""
    async with a_client(edge) as client:
        listed = {model.id: model async for model in client.models.list()}
        assert {"default", "web", "huggingface/flux-schnell", "automatic1111/local"} <= set(listed)
        assert listed["fal/flux-schnell"].owned_by == "fal"
        assert "huggingface/flux-openpose" not in listed  # coming soon
        for name in ("web", "fal/flux-schnell", "flux-schnell", "black-forest-labs/FLUX.1-schnell"):
            assert (await client.models.retrieve(name)).id == name
        with pytest.raises(openai.NotFoundError, match="huggingface/flux-schnell") as caught:
            await client.models.retrieve("huggingface/flux-schnel")
        assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
        answer = await client.images.generate(prompt="x", model="automatic1111/local")
        assert provenance(answer)["provider"] == "automatic1111"


async def test_their_models_are_known_only_where_a_route_is_called_so(upstreams: Sandboxed, tmp_path: Path) -> None:
    """P12: gpt-image-1 is not here, which is said with the nearest names; an operator may give a route that name."""
    routes = {"default": ["automatic1111/local"]}
    async with (
        serving_router(upstreams.targets, routes) as without,
        serving_router(upstreams.targets, {**routes, "gpt-image-1": ["automatic1111/local"]}) as router,
        serving_edge(without.target, tmp_path / "without") as edge,
        serving_edge(router.target, tmp_path / "with") as other,
        a_client(edge) as client,
        a_client(other) as client_of_other,
    ):
        with pytest.raises(openai.NotFoundError, match="one of") as caught:
            await client.images.generate(prompt="x", model="gpt-image-1")
        assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
        for model in ("gpt-image-1", "auto", ""):
            answer = await client_of_other.images.generate(prompt="x", model=model)
            assert provenance(answer)["model"] == "local"


async def test_a_wrong_key_is_an_authentication_error(edge: ServedEdge) -> None:
    """P12: without a key that is known here nothing can be asked, and the key is not repeated."""
    async with a_client(edge, key="sk-not-one-of-ours") as client:
        for ask in (client.images.generate(prompt="x"), client.models.list()):
            with pytest.raises(openai.AuthenticationError) as caught:
                await ask
            assert caught.value.code == "invalid_api_key"
            assert "sk-not" not in caught.value.message


async def test_whatever_is_below_v1_is_told_in_their_way(edge: ServedEdge) -> None:
    """An unknown path, a wrong method and a body that is none are errors as their client reads them."""
    async with edge.session() as session:
        answers = [
            (404, "unknown_url", session.post("/v1/chat/completions", json={})),
            (405, "method_not_supported", session.get("/v1/images/generations")),
            (400, "invalid_value", session.post("/v1/images/generations", data=b"{", headers=AS_JSON)),
            (400, "invalid_value", session.post("/v1/images/generations", json=[])),
            (400, "missing_required_parameter", session.post("/v1/images/generations", json={})),
            (415, "unsupported_media_type", session.post("/v1/images/edits", json={})),
            (413, "body_too_large", session.post("/v1/images/generations", json={"prompt": "x" * 300_000})),
        ]
        for status, code, answering in answers:
            async with answering as answer:
                assert answer.status == status
                error = (await answer.json())["error"]
                assert {"message", "type", "param", "code"} <= set(error)
                assert (error["type"], error["code"]) == ("invalid_request_error", code)
                assert answer.headers["x-request-id"] == error["imagegate"]["request_id"]


async def test_who_is_limited_is_told_when_to_come_back(house: House, tmp_path: Path) -> None:
    """R10, P12: an upstream's rate limit, where nobody else is left, becomes a 429 with its time."""
    limited = Failure(Reason.RATE_LIMITED, "too many", retry_after=7, dispatch=Dispatch.REFUSED)
    async with scripted(house, tmp_path, [limited]) as edge, a_client(edge) as client:
        with pytest.raises(openai.RateLimitError) as caught:
            await client.images.generate(prompt="x")
    assert (caught.value.code, caught.value.type) == ("rate_limit_exceeded", "requests")
    assert caught.value.response.headers["retry-after"] == "7"


async def test_the_client_comes_back_when_it_was_told_to(house: House, tmp_path: Path) -> None:
    """P12: who asks for more at a time than they may is refused with a small Retry-After, which the client obeys."""
    go_on = asyncio.Event()
    seen: list[tuple[float, int]] = []

    async def answered(response: Any) -> None:
        seen.append((asyncio.get_running_loop().time(), response.status_code))
        go_on.set()

    http = openai.DefaultAsyncHttpxClient(event_hooks={"response": [answered]})
    settings = {"generations_at_a_time": 1}
    async with (
        scripted(house, tmp_path, [Telling([], go_on=go_on)], settings=settings) as edge,
        a_client(edge) as first,
        AsyncOpenAI(base_url=f"{edge.url}/v1", api_key=ALICE, max_retries=1, http_client=http) as second,
    ):
        waiting = asyncio.ensure_future(first.images.generate(prompt="x"))
        await until(lambda: len(house.providers["a"].orders) == 1)
        answer = await second.images.generate(prompt="x")
        await waiting
    assert answer.data
    (refused, status), (accepted, last) = seen
    assert (status, last) == (429, 200)
    assert accepted - refused >= 1


async def test_with_all_down_each_attempt_and_the_remedy_are_told(edge: ServedEdge, upstreams: Sandboxed) -> None:
    """R10: where nobody delivers the error is a 503 that names every attempt and what to do about it."""
    names = ("huggingface", "fal", "automatic1111")
    upstreams.sandbox.faults([{"upstream": name, "fault": "status", "code": 500, "method": "POST"} for name in names])
    async with a_client(edge) as client:
        with pytest.raises(openai.InternalServerError) as caught:
            await client.images.generate(prompt="x")
    assert (caught.value.status_code, caught.value.type) == (503, "server_error")
    assert "try:" in caught.value.message
    attempts = caught.value.body["imagegate"]["attempts"]  # type: ignore[index]
    assert [each["provider"] for each in attempts] == list(names)
    assert all(each["provider"] in caught.value.message for each in attempts)
    assert int(caught.value.response.headers["retry-after"]) <= 60


async def test_what_may_have_been_paid_for_is_not_ordered_again(house: House, tmp_path: Path) -> None:
    """R10: after a failure that may be charged the client does not repeat the order by itself; else it does."""
    paid = Failure(Reason.UPSTREAM_ERROR, "it broke", dispatch=Dispatch.ACCEPTED)
    free = Failure(Reason.UPSTREAM_ERROR, "it broke", dispatch=Dispatch.REFUSED)
    async with scripted(house, tmp_path, [paid, free]) as edge, a_client(edge, max_retries=1) as client:
        provider = house.providers["a"]
        with pytest.raises(openai.InternalServerError):
            await client.images.generate(prompt="x")
        assert len(provider.orders) == 1
        answer = await client.images.generate(prompt="x")
    assert answer.data
    assert len(provider.orders) == 3


async def test_refused_content_is_what_their_client_knows_as_such(house: House, tmp_path: Path) -> None:
    """R5: an upstream that refuses the content is content_policy_violation, in its own words."""
    refused = Failure(Reason.CONTENT_REJECTED, "it refused", upstream_message="not this", dispatch=Dispatch.REFUSED)
    async with scripted(house, tmp_path, [refused]) as edge, a_client(edge) as client:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.images.generate(prompt="x")
    assert (caught.value.code, caught.value.param) == ("content_policy_violation", "prompt")
    [attempt] = caught.value.body["imagegate"]["attempts"]  # type: ignore[index]
    assert attempt["upstream_message"] == "not this"


async def test_the_same_key_orders_once(house: House, tmp_path: Path) -> None:
    """A caller's Idempotency-Key makes one order of two calls; one that is no key is refused."""
    async with scripted(house, tmp_path, []) as edge, a_client(edge) as client:
        answers = [
            await client.images.generate(prompt="x", extra_headers={"Idempotency-Key": "order-1"}) for _ in range(2)
        ]
        assert len({(answer.data or [])[0].b64_json for answer in answers}) == 1
        assert len(house.providers["a"].orders) == 1
        with pytest.raises(openai.BadRequestError) as caught:
            await client.images.generate(prompt="x", extra_headers={"Idempotency-Key": "k" * 256})
    assert caught.value.param == "Idempotency-Key"


async def test_the_longest_prompt_in_any_script_arrives(house: House, tmp_path: Path) -> None:
    """P12: 32,000 characters are allowed, whatever they are."""
    prompt = "灯" * 32_000
    async with scripted(house, tmp_path, []) as edge, a_client(edge) as client:
        await client.images.generate(prompt=prompt)
        with pytest.raises(openai.BadRequestError):
            await client.images.generate(prompt=prompt + "台")
    assert [order.prompt for order in house.providers["a"].orders] == [prompt]


def a_mask(size: tuple[int, int], transparent: tuple[int, int, int, int]) -> bytes:
    """A PNG as their client sends it: opaque but for a box."""
    mask = Image.new("RGBA", size, "white")
    mask.paste((0, 0, 0, 0), transparent)
    file = io.BytesIO()
    mask.save(file, "PNG")
    return file.getvalue()


def named(error: openai.BadRequestError) -> set[str]:
    """The parameters that an error blames."""
    return {each["param"] for each in error.body["imagegate"]["errors"]}  # type: ignore[index]
