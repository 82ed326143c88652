"""Every task of fal's over real sockets, against the sandbox: what arrives there, and what comes back."""

import asyncio
import io

import pytest
from PIL import Image

from imagegate.providers.fal.provider import create
from imagegate.providers.fal.storage import MAX_INLINE_BYTES
from imagegate.runtime import images
from imagegate.runtime.deadline import Deadline
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.fitting import asked_fields, fit
from imagegate.runtime.inputs import to_inputs
from imagegate.runtime.order import Order
from imagegate.sandbox.app import serving
from imagegate.v1 import generation_pb2
from imagegate.v1.generation_pb2 import (
    CONTROL_TYPE_CANNY,
    CONTROL_TYPE_OPENPOSE,
    Control,
    Identity,
    ImageToImage,
    Inpainting,
    InputImage,
    Lora,
    PoseExtraction,
)

TOKEN = {"upstream": "fal", "path": "/fal/rest/*"}
UPLOAD = {"upstream": "fal", "path": "/fal/cdn/files/upload"}
SUBMISSION = {"upstream": "fal", "method": "POST", "path": "/fal/queue/*"}


def encoded(canvas):
    data = io.BytesIO()
    canvas.save(data, "PNG")
    return InputImage(data=data.getvalue())


def plain(colour, size=(256, 256)):
    return encoded(Image.new("RGB", size, colour))


def noise(side):
    """A picture that does not compress: three bytes a pixel."""
    return encoded(Image.effect_noise((side, side), 90).convert("RGB"))


def half_a_mask(size=(256, 256)):
    """The right half is to be painted anew."""
    mask = Image.new("L", size)
    mask.paste(255, (size[0] // 2, 0, *size))
    return encoded(mask)


def a_line():
    """A control with one bright line across."""
    pose = Image.new("RGB", (256, 256))
    pose.paste((255, 255, 255), (0, 120, 256, 136))
    return encoded(pose)


@pytest.fixture
async def sandbox():
    async with serving() as running:
        yield running


@pytest.fixture
async def provider(sandbox):
    running = create({**sandbox.environment, "FAL_KEY": "id:secret"}, lambda _: None)
    yield running
    await running.close()


def an_order(provider, key, count=1, **fields):
    model = provider.catalogue.find(key)
    request = generation_pb2.GenerateRequest(prompt="a fox", seed=7, **fields)
    fitted = fit(request, model, drawn_seed=1)
    return Order(
        model=model,
        prompt="a fox",
        parameters=fitted.parameters,
        options=fitted.options,
        inputs=to_inputs(request, fitted.inputs),
        deadline=Deadline.after(20),
        count=count,
        asked=asked_fields(request),
        adjustments=list(fitted.adjustments),
    )


async def made(provider, key, **fields):
    """The one picture of an order, decoded."""
    (picture,) = (await provider.generate(an_order(provider, key, **fields))).pictures
    images.inspect(picture.data)
    return Image.open(io.BytesIO(picture.data)).convert("RGB")


async def the_failure(provider, order):
    with pytest.raises(Failure) as caught:
        await provider.generate(order)
    return caught.value


def asked(sandbox, method, part):
    return [r for r in sandbox.requests() if r["method"] == method and part in r["path"]]


def distance(colour, other):
    """How far two colours are apart, at most in one channel."""
    return max(abs(own - its) for own, its in zip(colour, other, strict=True))


async def until(condition):
    """Wait, for at most ten seconds, until `condition` holds."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


GREEN, RED = (10, 200, 30), (255, 0, 0)
TASKS = {
    "text to image": ("flux-dev", {}),
    "LoRA": ("flux-lora", {"loras": [Lora(name="owner/name", weight=0.5)]}),
    "image to image": ("flux-dev", {"image_to_image": ImageToImage(image=plain(GREEN))}),
    "inpainting": ("flux-lora", {"inpainting": Inpainting(image=plain(GREEN), mask=half_a_mask())}),
    "pose": ("sdxl-controlnet-union", {"controls": [Control(type=CONTROL_TYPE_OPENPOSE, image=a_line())]}),
    "canny": ("sdxl-controlnet-union", {"controls": [Control(type=CONTROL_TYPE_CANNY, image=a_line())]}),
    "photo with a pose": (
        "sdxl-controlnet-union",
        {
            "image_to_image": ImageToImage(image=plain(GREEN)),
            "controls": [Control(type=CONTROL_TYPE_OPENPOSE, image=a_line())],
        },
    ),
    "identity": ("photomaker", {"identity": [Identity(image=plain(GREEN)), Identity(image=plain(RED))]}),
    "pose extraction": ("dwpose", {"pose_extraction": PoseExtraction(image=plain(GREEN))}),
}
BIG = noise(400)


# ── What works ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("key", "fields"), TASKS.values(), ids=TASKS)
async def test_every_task_is_done_and_asks_for_an_image(sandbox, provider, key, fields):
    """R4, U2, P3: each task delivers a picture, and every call that makes, tells or fetches it asks for an image."""
    order = an_order(provider, key, **fields)
    (picture,) = (await provider.generate(order)).pictures
    images.inspect(picture.data)
    assert picture.seed == (None if key == "dwpose" else 7)
    assert order.dispatch is Dispatch.ACCEPTED
    of_a_picture = [
        *asked(sandbox, "POST", "/fal/queue/"),
        *(r for r in asked(sandbox, "GET", "/requests/") if not r["path"].endswith("/status")),
        *asked(sandbox, "GET", "/fal/cdn/files/sandbox/"),
    ]
    assert len(of_a_picture) == 3
    assert {r["headers"]["accept"] for r in of_a_picture} == {"image/png"}


async def test_a_mask_keeps_what_is_black(provider):
    """P3: white is painted anew; where the mask is black every pixel stays."""
    result = await made(provider, "flux-lora", inpainting=TASKS["inpainting"][1]["inpainting"])
    assert {result.getpixel((x, y)) for x in (0, 60, 127) for y in (0, 100, 255)} == {GREEN}
    assert result.crop((128, 0, 256, 256)).getcolors(4) is None


async def test_a_picture_goes_on_from_another_one(provider):
    """P3: the weaker it is, the more of the first picture stays; its size stays, whatever that is."""
    source = plain(GREEN, (400, 300))
    weak, strong = [
        await made(provider, "flux-dev", image_to_image=ImageToImage(image=source, strength=strength))
        for strength in (0.01, 1.0)
    ]
    assert weak.size == strong.size == (400, 300)
    far = [
        max(abs(own - other) for own, other in zip(each.getpixel((9, 9)), GREEN, strict=True))
        for each in (weak, strong)
    ]
    assert far[0] <= 3 < far[1]


async def test_a_pose_arrives_with_a_photo(provider):
    """P3: a photo together with a pose in one request: both show."""
    _, fields = TASKS["photo with a pose"]
    photo = ImageToImage(image=fields["image_to_image"].image, strength=0.5)
    result = await made(provider, "sdxl-controlnet-union", image_to_image=photo, controls=fields["controls"])
    along = [result.getpixel((x, 128)) for x in (3, 100, 250)]
    assert along == [tuple((255 + own) // 2 for own in GREEN)] * 3


async def test_every_person_arrives(provider):
    """P3: all photos of a person are in the archive."""
    result = await made(provider, "photomaker", **TASKS["identity"][1])
    for x, colour in ((20, GREEN), (90, RED)):
        assert distance(result.getpixel((x, 9)), colour) < 10  # it comes as JPEG


async def test_a_lora_changes_the_picture(provider):
    """U2: the same words and seed with another weight make another picture."""
    weights = (0.5, 1.0)
    results = [await made(provider, "flux-lora", loras=[Lora(name="owner/name", weight=w)]) for w in weights]
    assert results[0].tobytes() != results[1].tobytes()


async def test_a_pose_is_as_large_as_its_photo(sandbox, provider):
    """P3: an extracted pose is a picture of its own, without a seed; hands and face only where they are wanted."""
    photo = plain(GREEN, (300, 500))
    full = await made(provider, "dwpose", pose_extraction=PoseExtraction(image=photo))
    body = await made(
        provider, "dwpose", pose_extraction=PoseExtraction(image=photo, detect_hands=False, detect_face=False)
    )
    assert full.size == body.size == (300, 500)
    assert full.tobytes() != body.tobytes()
    assert [r["body"]["draw_mode"] for r in asked(sandbox, "POST", "/fal/queue/")] == ["full-pose", "body-pose"]


async def test_every_model_is_checked_for_free(sandbox, provider):
    """R7, R12: what works with pictures is asked after for free as well."""
    for model in provider.catalogue.models:
        check = await provider.check(model)
        assert (check.key_accepted, check.failure) == (True, None), model.key
    assert asked(sandbox, "POST", "/") == []
    assert sandbox.billing() == []


# ── The way there ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_small_picture_goes_along(sandbox, provider):
    """What is small is in the submission itself: no upload, and no copy at a public address."""
    await made(provider, "flux-dev", image_to_image=ImageToImage(image=plain(GREEN)))
    (submission,) = asked(sandbox, "POST", "/fal/")
    assert submission["body"]["image_url"].startswith("data:image/png;base64,")


async def test_a_large_picture_is_uploaded_once(sandbox, provider):
    """U2: what is large goes to fal's storage, once however many pictures are made of it, and for an hour only."""
    assert len(BIG.data) > MAX_INLINE_BYTES
    order = an_order(provider, "flux-dev", count=3, image_to_image=ImageToImage(image=BIG))
    assert len((await provider.generate(order)).pictures) == 3
    assert len(asked(sandbox, "POST", "/storage/auth/token")) == 1
    (upload,) = asked(sandbox, "POST", "/fal/cdn/files/upload")
    assert upload["headers"]["content-type"] == "image/png"
    assert upload["headers"]["x-fal-object-lifecycle"] == '{"expiration_duration_seconds": 3600}'
    urls = {r["body"]["image_url"] for r in asked(sandbox, "POST", "/fal/queue/")}
    assert len(urls) == 1
    assert urls.pop().startswith(sandbox.url)
    assert asked(sandbox, "GET", "/fal/cdn/files/uploaded") == []  # we never read what an answer names


async def test_the_key_stays_away_from_the_cdn(sandbox, provider):
    """R14: the storage's own token goes to the CDN, our key to the API only."""
    fields = {"image_to_image": ImageToImage(image=BIG), "controls": [Control(type=CONTROL_TYPE_OPENPOSE, image=BIG)]}
    await made(provider, "sdxl-controlnet-union", **fields)
    schemes = {r["headers"].get("authorization") for r in asked(sandbox, "POST", "/fal/cdn")}
    assert schemes == {"Bearer ***"}
    assert [r["headers"]["authorization"] for r in asked(sandbox, "POST", "/fal/rest")] == ["Key ***"]
    assert len(asked(sandbox, "POST", "/fal/cdn")) == 2


async def test_a_host_that_a_token_names_is_not_used():
    """R14: an upload goes to the configured CDN, whatever host the token's answer names."""
    async with serving() as sandbox:
        provider = create({**sandbox.environment, "FAL_KEY": "id:secret"}, lambda _: None)
        body = {"token": "t", "token_type": "Bearer", "base_url": "http://169.254.169.254", "expires_at": "never"}
        sandbox.faults([{**TOKEN, "fault": "json_200", "body": body}])
        failure = await the_failure(provider, an_order(provider, "flux-dev", image_to_image=ImageToImage(image=BIG)))
        await provider.close()
        assert failure.upstream_status == 401  # of the sandbox's CDN, which knows no such token
        assert len(asked(sandbox, "POST", "/fal/cdn/files/upload")) == 1


async def test_a_token_that_the_cdn_quotes_is_not_told(sandbox, provider):
    """R5, R14: whoever lets a file in may say so with its token; the caller gets the words without it."""
    token = "0123456789-a-token-of-the-storage"
    body = {"token": token, "token_type": "Bearer", "expires_at": "never"}
    words = {"detail": f"The token {token[:20]}… has expired"}
    sandbox.faults(
        [{**TOKEN, "fault": "json_200", "body": body}, {**UPLOAD, "fault": "status", "code": 401, "body": words}]
    )
    failure = await the_failure(provider, an_order(provider, "flux-dev", image_to_image=ImageToImage(image=BIG)))
    assert failure.upstream_message == "The token ***… has expired"


# ── What fails before anything was asked for ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("broken", [TOKEN, UPLOAD], ids=["token", "upload"])
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"fault": "status", "code": 503}, Reason.OVERLOADED),
        ({"fault": "status", "code": 429}, Reason.RATE_LIMITED),
        ({"fault": "status", "code": 413}, Reason.UPSTREAM_REJECTED_INPUT),
        ({"fault": "status", "code": 404}, Reason.UPSTREAM_ERROR),
        ({"fault": "html"}, Reason.UPSTREAM_ERROR),
        ({"fault": "json_200", "body": {}}, Reason.UPSTREAM_ERROR),
        ({"fault": "reset"}, Reason.UPSTREAM_ERROR),
    ],
    ids=str,
)
async def test_an_upload_that_fails(sandbox, provider, broken, fault, reason):
    """R10: where fal does not take a picture nothing was asked for, nothing is charged, and others may be tried."""
    sandbox.faults([{**broken, **fault}])
    order = an_order(provider, "flux-dev", image_to_image=ImageToImage(image=BIG))
    failure = await the_failure(provider, order)
    assert (failure.reason, failure.dispatch, failure.billed, failure.phase) == (
        reason,
        Dispatch.NOT_SENT,
        False,
        "upload",
    )
    assert order.dispatch is Dispatch.NOT_SENT
    assert asked(sandbox, "POST", "/fal/queue") == []


async def test_one_of_several_uploads_fails(sandbox, provider):
    """The first failure ends the others, and is the one that is told."""
    sandbox.faults([{**UPLOAD, "fault": "status", "code": 503, "times": 1}, {**UPLOAD, "fault": "hang"}])
    fields = {"image_to_image": ImageToImage(image=BIG), "controls": [Control(type=CONTROL_TYPE_OPENPOSE, image=BIG)]}
    async with asyncio.timeout(5):
        failure = await the_failure(provider, an_order(provider, "sdxl-controlnet-union", **fields))
    assert (failure.reason, failure.dispatch) == (Reason.OVERLOADED, Dispatch.NOT_SENT)


async def test_a_key_that_storage_refuses(sandbox):
    """R10: a refused key is known as such at the first call, which is for the storage."""
    provider = create({**sandbox.environment, "FAL_KEY": "id:revoked"}, lambda _: None)
    failure = await the_failure(provider, an_order(provider, "flux-dev", image_to_image=ImageToImage(image=BIG)))
    await provider.close()
    assert (failure.reason, failure.dispatch) == (Reason.CREDENTIALS_REJECTED, Dispatch.NOT_SENT)


async def test_leaving_while_a_picture_is_uploaded(sandbox, provider):
    """A caller that leaves ends the upload, and nothing is submitted."""
    sandbox.faults([{**UPLOAD, "fault": "hang"}])
    order = an_order(provider, "flux-dev", image_to_image=ImageToImage(image=BIG))
    task = asyncio.create_task(provider.generate(order))
    await until(lambda: asked(sandbox, "POST", "/fal/cdn/files/upload"))
    assert order.phase == "upload"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert order.dispatch is Dispatch.NOT_SENT
    assert asked(sandbox, "POST", "/fal/queue") == []


async def test_what_fal_cannot_load_is_told():
    """R5: a picture that fal loses between upload and work fails the job in fal's own words, and costs nothing."""
    async with serving() as sandbox:
        provider = create({**sandbox.environment, "FAL_KEY": "id:secret"}, lambda _: None)
        gone = {"access_url": "https://v3.fal.media/files/gone.png"}
        sandbox.faults([{**UPLOAD, "fault": "json_200", "body": gone}])
        failure = await the_failure(provider, an_order(provider, "flux-dev", image_to_image=ImageToImage(image=BIG)))
        await provider.close()
    assert (failure.reason, failure.dispatch, failure.billed) == (
        Reason.UPSTREAM_REJECTED_INPUT,
        Dispatch.ACCEPTED,
        False,
    )
    assert "image_url: File download error" in failure.upstream_message
