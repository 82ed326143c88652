"""fal: the queue, synchronous calls, the storage and the CDN. Streaming and webhooks are not played yet.

https://fal.ai/docs/model-apis/model-endpoints/queue
"""

import asyncio
import uuid
from collections.abc import Iterable, Mapping, MutableMapping
from functools import partial

from aiohttp import web

from imagegate.sandbox.call import CALL, Call, RefusedError, Target, answer_of
from imagegate.sandbox.fal_cdn import FILES_PATH, Cdn, data_uri
from imagegate.sandbox.fal_drawing import Worked, picture_of
from imagegate.sandbox.fal_files import CDN, SIGNED_PATH, UPLOADED_PATH, Files
from imagegate.sandbox.fal_inputs import ALIASES, Asked, read_input
from imagegate.sandbox.fal_jobs import Job, Jobs
from imagegate.sandbox.fal_picture_inputs import Dwpose
from imagegate.sandbox.faults import UpstreamName
from imagegate.sandbox.ledger import State
from imagegate.sandbox.pictures import Picture, seed_of

QUEUE, RUN, STORAGE = "/fal/queue/", "/fal/run/", "/fal/rest/storage"
JOB_PATH = QUEUE + "{owner}/{alias}/requests/{id}"
LOCKED = "User is locked. Reason: Exhausted balance. Top up your balance at fal.ai/dashboard/billing."
MALFORMED_KEY = "Invalid Key Authorization header format. Expected '<key_id>:<key_secret>'."


class Fal:
    """All hosts of fal. A queued job waits `queue_seconds`; every generation takes `run_seconds`."""

    name: UpstreamName = "fal"
    prefixes: tuple[str, ...] = ("/fal/queue", "/fal/run", "/fal/rest", "/fal/cdn", "/fal")

    def __init__(self, queue_seconds: float, run_seconds: float) -> None:
        self._run_seconds = run_seconds
        self._jobs = Jobs(queue_seconds, run_seconds)
        self._cdn = Cdn()
        self._files = Files()

    def routes(self) -> Iterable[web.RouteDef]:
        return [
            web.get(JOB_PATH + "/status", self._status),
            web.put(JOB_PATH + "/cancel", self._cancel),
            web.get(JOB_PATH, self._result),
            web.post(QUEUE + "{app:.+}", self._submit),
            web.post(RUN + "{app:.+}", self._run),
            web.post(STORAGE + "/auth/token", self._token),
            web.post(STORAGE + "/upload/initiate", self._initiate),
            web.put(SIGNED_PATH + "{name:.+}", self._files.put),
            web.post(CDN + "/files/upload", self._files.upload),
            web.get(UPLOADED_PATH + "{name:.+}", self._files.serve),
            web.get(FILES_PATH + "{name:.+}", self._cdn.serve),
            web.route("*", "/fal{rest:(/.*)?}", self._not_found),
        ]

    def target(self, method: str, path: str, body: object) -> Target:
        """A picture's fault is decided where a job is submitted, or where its picture is fetched if not before."""
        if method == "POST" and path.startswith((QUEUE, RUN)):
            return Target(path.removeprefix(QUEUE).removeprefix(RUN), has_picture=True)
        if stored := self._cdn.find(path):
            return Target(stored.model, has_picture=stored.picture.spoilt is None)
        if path.startswith(QUEUE) and "/requests/" in path:
            job = self._jobs.get(path.partition("/requests/")[2].split("/")[0])
            return Target(job.app if job else "")
        return Target()

    def stamp(self, headers: MutableMapping[str, str], seconds: float) -> None:
        headers.setdefault("x-fal-request-id", str(uuid.uuid4()))

    @property
    def at_work(self) -> int:
        return self._jobs.at_work

    async def close(self) -> None:
        await self._jobs.close()

    async def answer_now(self, request: web.Request, app: str) -> web.Response:
        """A synchronous call whose key has been checked. A client that leaves cancels it."""
        call, id = request[CALL], str(uuid.uuid4())
        try:
            await asyncio.sleep(self._run_seconds)
            output = await self._generate(call, id, app, _origin(request))
        except asyncio.CancelledError:
            _settle_unfinished(call, id, "cancelled")
            raise
        return web.json_response(output, headers={"x-fal-request-id": id, "x-fal-billable-units": "1"})

    async def _token(self, request: web.Request) -> web.Response:
        """Only the storage of today's client is played."""
        _owner(request)
        if request.query.get("storage_type") != "fal-cdn-v3":
            raise RefusedError(400, {"detail": "Unknown storage_type"})
        return await self._files.token(request)

    async def _initiate(self, request: web.Request) -> web.Response:
        _owner(request)
        if request.query.get("storage_type") != "gcs":
            raise RefusedError(400, {"detail": "Unknown storage_type"})
        return await self._files.initiate(request, request[CALL].body)

    async def _run(self, request: web.Request) -> web.Response:
        _owner(request)
        _refuse_locked(request)
        return await self.answer_now(request, _known_app(request))

    async def _submit(self, request: web.Request) -> web.Response:
        """The queue knows its apps but not what they take: bad fields are the job's failure, not the submission's."""
        owner = _owner(request)
        _refuse_locked(request)
        app, call, origin = _known_app(request), request[CALL], _origin(request)
        if "fal_webhook" in request.query:
            raise RefusedError(400, {"detail": "The sandbox does not play webhooks."})
        job = Job(str(uuid.uuid4()), app, owner, call)
        work = partial(self._generate, call, job.id, app, origin)
        before = self._jobs.submit(job, work, _start_timeout(request))
        return _of_job(job, {"status": "IN_QUEUE", **_urls(job, origin), "queue_position": before})

    async def _status(self, request: web.Request) -> web.Response:
        job = self._job(request)
        body: dict[str, object] = {"status": job.state, **_urls(job, _origin(request))}
        if job.state == "IN_QUEUE":
            return _of_job(job, body | {"queue_position": self._jobs.position(job)}, status=202)
        body["logs"] = job.logs if request.query.get("logs") in ("1", "true") else None
        if job.state == "IN_PROGRESS":
            return _of_job(job, body, status=202)
        body["metrics"] = {"inference_time": self._run_seconds}
        if job.error is not None:
            body |= _error_fields(job.error)
        return _of_job(job, body)

    async def _result(self, request: web.Request) -> web.Response:
        """The model's own answer, replayed: its status code too."""
        job = self._job(request)
        if job.error is not None:
            return _of_job(job, job.error.body, job.error.status, job.error.headers)
        if job.output is None:
            raise RefusedError(400, {"detail": "Request is still in progress"})
        return _of_job(job, job.output, headers={"x-fal-billable-units": "1"})

    async def _cancel(self, request: web.Request) -> web.Response:
        try:
            job = self._job(request)
        except RefusedError as error:
            if error.status != 404:
                raise
            return answer_of(404, {"status": "NOT_FOUND"})
        if not self._jobs.cancel(job):
            return _of_job(job, {"status": "ALREADY_COMPLETED"}, status=400)
        _settle_unfinished(job.call, job.id, "cancelled")
        return _of_job(job, {"status": "CANCELLATION_REQUESTED"}, status=202)

    async def _not_found(self, request: web.Request) -> web.Response:
        if request.path.startswith((QUEUE, RUN)):  # such as the status of a job with the app's sub-path in its URL
            return answer_of(405, {"detail": "Method Not Allowed"})
        return answer_of(404, "404: Not Found")

    def _job(self, request: web.Request) -> Job:
        """The caller's own job. A locked account may still look at its jobs."""
        owner, part = _owner(request), request.match_info
        job = self._jobs.find(part["id"], f"{part['owner']}/{part['alias']}", owner)
        if job is None:
            raise RefusedError(404, {"detail": "Request not found"})
        return job

    async def _generate(self, call: Call, id: str, app: str, origin: str) -> dict[str, object]:
        try:
            asked = read_input(app, call.body)
            files = self._files.load(asked.files)
        except RefusedError:
            _settle_unfinished(call, id, "failed")
            raise
        seed = seed_of(app, asked.model_dump_json()) if asked.seed is None else asked.seed
        pictures = [picture_of(asked, seed + index, files, call.spoilt) for index in range(asked.num_images)]
        images = [await self._deliver(call, asked, picture, origin) for picture in pictures]
        call.settle(id, asked.prompt, seed)
        if isinstance(asked, Dwpose):
            return {"image": images[0]}
        output: dict[str, object] = {"images": images, "seed": seed, "prompt": asked.prompt}
        if asked.has_flags:
            output["timings"] = {"inference": self._run_seconds}
            output["has_nsfw_concepts"] = [call.flagged] * asked.num_images
        return output

    async def _deliver(self, call: Call, asked: Asked, picture: Picture, origin: str) -> dict[str, object]:
        held = picture.size_in_bytes if isinstance(picture, Worked) else 0
        url = await data_uri(picture) if asked.sync_mode else origin + self._cdn.store(call.target.model, picture, held)
        size = {"width": picture.width, "height": picture.height}
        return {"url": url, **size, "content_type": f"image/{asked.format}"}


def _owner(request: web.Request) -> str:
    """Whose key it is: its id, which an account's keys share here. Raises RefusedError 401."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "key" or "revoked" in key:  # fal's text for a missing key is not known
        raise RefusedError(401, {"detail": "No user found for Key ID and Secret"})
    if not all(key.partition(":")):
        raise RefusedError(401, {"detail": MALFORMED_KEY})
    return key.partition(":")[0]


def _refuse_locked(request: web.Request) -> None:
    """Raises RefusedError 403 for a new request of an account without credit."""
    if "broke" in request.headers["Authorization"]:
        raise RefusedError(403, {"detail": LOCKED})


def _known_app(request: web.Request) -> str:
    """The app's id, its alias known. Raises RefusedError 404; its path is the app's own business."""
    app = request.match_info["app"].strip("/")
    parts = app.split("/")
    if len(parts) < 2:
        raise RefusedError(404, "404: Not Found")
    if "/".join(parts[:2]) not in ALIASES:
        raise RefusedError(404, {"detail": f'Application "{parts[1]}" not found'})
    return app


def _start_timeout(request: web.Request) -> float | None:
    """How many seconds the job may wait for its start; None for ever. Raises RefusedError 400."""
    given = request.headers.get("X-Fal-Request-Timeout")
    try:
        return None if given is None else float(given)
    except ValueError as error:
        raise RefusedError(400, {"detail": f"Invalid X-Fal-Request-Timeout: {given}"}) from error


def _origin(request: web.Request) -> str:
    """The address under which the client reached us, which it can surely reach again."""
    return f"{request.scheme}://{request.host}"


def _urls(job: Job, origin: str) -> dict[str, object]:
    here = f"{origin}{QUEUE}{job.alias}/requests/{job.id}"
    return {
        "request_id": job.id,
        "response_url": here,
        "status_url": f"{here}/status",
        "cancel_url": f"{here}/cancel",
    }


def _of_job(job: Job, body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return answer_of(status, body, {"x-fal-request-id": job.id, **(headers or {})})


def _error_fields(error: RefusedError) -> dict[str, object]:
    """How a status names a failure: in words, and by type where the platform gives one."""
    body = error.body if isinstance(error.body, dict) else {}
    detail = body.get("detail")
    fields = {"error": detail[0]["msg"] if isinstance(detail, list) else str(detail)}
    return fields | ({"error_type": body["error_type"]} if "error_type" in body else {})


def _settle_unfinished(call: Call, id: str, state: State) -> None:
    body = call.body if isinstance(call.body, dict) else {}
    seed = body.get("seed")
    call.settle(id, str(body.get("prompt", "")), seed if isinstance(seed, int) else 0, state)
