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
