"""fal's own client passes against the stand-in. It forces https by environment, so its URLs are set after import."""

import json

SCRIPT = """
import json, sys
import fal_client.client as fal
url = sys.argv[1]
fal.RUN_URL_FORMAT, fal.QUEUE_URL_FORMAT = url + "/fal/run/", url + "/fal/queue/"
fal.REST_URL, fal.CDN_URL = url + "/fal/rest", url + "/fal/cdn"

def outcome(call, *arguments, **options):
    try:
        return call(*arguments, **options)
    except fal.FalClientHTTPError as error:
        return [error.status_code, error.message]

client = fal.SyncClient(key="id:secret")
fox = {"prompt": "a fox", "image_size": "square", "seed": 5}
seen = []
handle = client.submit("fal-ai/flux/dev", fox)
events = [type(event).__name__ for event in handle.iter_events(with_logs=True, interval=0.01)]
bad = client.submit("fal-ai/flux/dev", {"promt": "a fox", "acceleration": "warp", "num_images": 0})
slow = client.submit("fal-ai/flux/dev", fox)
slow.cancel()
print(json.dumps({
    "run": client.run("fal-ai/flux/schnell", fox)["seed"],
    "inline": client.run("fal-ai/aura-flow", {"prompt": "a fox", "sync_mode": True})["images"][0]["url"][:23],
    "subscribe": client.subscribe("fal-ai/fast-sdxl", fox, on_enqueue=seen.append)["has_nsfw_concepts"],
    "enqueued": seen == [] or len(seen) == 1,
    "events": [events[0], events[-1]],
    "result": handle.get()["images"][0]["width"],
    "cancelled": outcome(slow.get),
    "cancel of a finished job": outcome(handle.cancel),
    "bad fields": outcome(bad.get),
    "wrong key": outcome(fal.SyncClient(key="id:revoked").run, "fal-ai/flux/dev", fox),
    "malformed key": outcome(fal.SyncClient(key="id").run, "fal-ai/flux/dev", fox),
    "no balance": outcome(fal.SyncClient(key="id:broke").submit, "fal-ai/flux/dev", fox),
    "unknown app": outcome(client.submit, "fal-ai/flux-dev", fox),
    "unknown path": outcome(client.run, "fal-ai/flux/max", fox),
}))
"""


async def test_client(sandbox, run_script):
    """R7: run, submit, status events, result, cancel and subscribe work; what fal refuses is refused in fal's words."""
    outcomes = json.loads(await run_script(SCRIPT, sandbox.url))
    problems = {(problem["type"], *problem["loc"]) for problem in outcomes.pop("bad fields")[1]}
    assert problems == {
        ("missing", "body", "prompt"),
        ("extra_forbidden", "body", "promt"),
        ("literal_error", "body", "acceleration"),
        ("greater_than_equal", "body", "num_images"),
    }
    assert outcomes.pop("cancel of a finished job")[0] == 400
    assert outcomes == {
        "run": 5,
        "inline": "data:image/jpeg;base64,",
        "subscribe": [False],
        "enqueued": True,
        "events": ["Queued", "Completed"],
        "result": 512,
        "cancelled": [499, "Request cancelled by the client."],
        "wrong key": [401, "No user found for Key ID and Secret"],
        "malformed key": [401, "Invalid Key Authorization header format. Expected '<key_id>:<key_secret>'."],
        "no balance": [
            403,
            "User is locked. Reason: Exhausted balance. Top up your balance at fal.ai/dashboard/billing.",
        ],
        "unknown app": [404, 'Application "flux-dev" not found'],
        "unknown path": [404, "Path /max not found"],
    }
    states = [entry["state"] for entry in sandbox.billing()]
    assert sorted(states) == ["cancelled", "failed", "failed", "finished", "finished", "finished", "finished"]


TASKS = """
import io, json, sys, zipfile
import fal_client.client as fal
from PIL import Image
url = sys.argv[1]
fal.RUN_URL_FORMAT, fal.QUEUE_URL_FORMAT = url + "/fal/run/", url + "/fal/queue/"
fal.REST_URL, fal.CDN_URL = url + "/fal/rest", url + "/fal/cdn"

def outcome(call, *arguments, **options):
    try:
        return call(*arguments, **options)
    except fal.FalClientHTTPError as error:
        return [error.status_code, error.message]

def encoded(colour):
    data = io.BytesIO()
    Image.new("RGB", (96, 64), colour).save(data, "PNG")
    return data.getvalue()

def size_of(output):
    image = output["images"][0] if "images" in output else output["image"]
    return [image["width"], image["height"]]

client = fal.SyncClient(key="id:secret")
hour = fal.StorageSettings(expires_in="1h")
photo = client.upload(encoded("red"), "image/png", file_name="photo.png", lifecycle=hour)
inline = client.upload_image(Image.new("RGB", (96, 64)), format="png")
other_way = client.upload(encoded("blue"), "image/png", repository="fal", fallback_repository=[])
zipped = io.BytesIO()
with zipfile.ZipFile(zipped, "w") as archive:
    archive.writestr("1.png", encoded("red"))
person = client.upload(zipped.getvalue(), "application/zip", file_name="person.zip")
begin = {"prompt": "a fox", "image_url": photo, "seed": 5}
lora = {"loras": [{"path": "owner/name", "scale": 0.5}]}
pose = {"openpose_image_url": inline, "openpose_preprocess": False, "controlnet_conditioning_scale": 1}
square = {"image_size": "square"}
union = "fal-ai/sdxl-controlnet-union"
print(json.dumps({
    "image to image": size_of(client.run("fal-ai/flux/dev/image-to-image", begin)),
    "no size there": outcome(client.run, "fal-ai/flux/dev/image-to-image", begin | square)[0],
    "lora": size_of(client.subscribe("fal-ai/flux-lora", {"prompt": "a fox", **lora, **square})),
    "lora upon a photo": size_of(client.run("fal-ai/flux-lora/image-to-image", begin | lora)),
    "inpainting": size_of(client.run("fal-ai/flux-lora/inpainting", begin | {"mask_url": other_way})),
    "no mask": outcome(client.run, "fal-ai/flux-lora/inpainting", begin)[1][0]["loc"],
    "pose": size_of(client.subscribe(union, {"prompt": "a fox", **pose, **square})),
    "photo with a pose": size_of(client.run(union + "/image-to-image", begin | pose)),
    "too strong": outcome(client.run, union, {"prompt": "x", **pose, "controlnet_conditioning_scale": 1.5})[0],
    "photomaker": size_of(client.run("fal-ai/photomaker", {"prompt": "a man img", "image_archive_url": person})),
    "no archive": outcome(client.run, "fal-ai/photomaker", {"prompt": "x", "image_archive_url": photo})[1][0]["type"],
    "dwpose": size_of(client.run("fal-ai/dwpose", {"image_url": photo, "draw_mode": "full-pose"})),
    "words for dwpose": outcome(client.run, "fal-ai/dwpose", {"image_url": photo, "prompt": "x"})[0],
    "elsewhere": outcome(client.run, "fal-ai/dwpose", {"image_url": url + "/fal/cdn/files/x"})[1][0]["type"],
    "no picture": outcome(client.run, "fal-ai/dwpose", {"image_url": "data:image/png;base64,QUJD"})[1][0]["type"],
    "no base64": outcome(client.run, "fal-ai/dwpose", {"image_url": "data:image/png,x"}),
    "wrong key": outcome(fal.SyncClient(key="id:revoked").upload, b"x", "image/png", repository="fal")[0],
}))
"""


async def test_client_with_pictures(sandbox, run_script):
    """U2, P3: uploads by both of the client's ways, and every app that works with what was uploaded."""
    outcomes = json.loads(await run_script(TASKS, sandbox.url))
    assert outcomes == {
        "image to image": [96, 64],
        "no size there": 422,
        "lora": [512, 512],
        "lora upon a photo": [96, 64],
        "inpainting": [96, 64],
        "no mask": ["body", "mask_url"],
        "pose": [512, 512],
        "photo with a pose": [96, 64],
        "too strong": 422,
        "photomaker": [1024, 1024],
        "no archive": "image_load_error",
        "dwpose": [96, 64],
        "words for dwpose": 422,
        "elsewhere": "file_download_error",
        "no picture": "image_load_error",
        "no base64": [400, "Unsupported data URL"],
        "wrong key": 401,
    }
    uploads = [r["path"].split("/")[2] for r in sandbox.requests() if r["method"] == "POST" and "/upload" in r["path"]]
    assert uploads == ["cdn", "cdn", "rest", "cdn", "rest"]
