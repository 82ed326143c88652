"""fal's queue: jobs that move from IN_QUEUE through IN_PROGRESS to COMPLETED by themselves, whoever watches."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from imagegate.sandbox.call import Call, RefusedError

JobState = Literal["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]
Work = Callable[[], Awaitable[dict[str, object]]]

MAX_JOBS = 10_000
CANCELLED = RefusedError(499, {"detail": "Request cancelled by the client."})


@dataclass
class Job:
    """One request in the queue, submitted by `call`.

    Completed, it has an `output` or an `error`: fal knows no failed state.
    """

    id: str
    app: str
    owner: str
    call: Call
    state: JobState = "IN_QUEUE"
    output: dict[str, object] | None = None
    error: RefusedError | None = None
    logs: list[dict[str, str]] = field(default_factory=list)

    @property
    def alias(self) -> str:
        """Owner and alias, without the sub-path: all that the job's URLs contain."""
        return "/".join(self.app.split("/")[:2])

    def log(self, message: str) -> None:
        now = datetime.now(UTC).isoformat()
        self.logs.append({"timestamp": now, "message": message, "level": "INFO", "source": "sandbox"})


class Jobs:
    """The queue. A job waits `queue_seconds` and runs `run_seconds`."""

    def __init__(self, queue_seconds: float, run_seconds: float) -> None:
        self._queue_seconds = queue_seconds
        self._run_seconds = run_seconds
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def submit(self, job: Job, work: Work, start_timeout: float | None) -> int:
        """Put a job in the queue; how many are before it. It fails if it has not started after `start_timeout` s."""
        before = sum(other.state == "IN_QUEUE" for other in self._jobs.values())
        self._jobs[job.id] = job
        while len(self._jobs) > MAX_JOBS:
            self._jobs.popitem(last=False)
        task = asyncio.create_task(self._run(job, work, start_timeout))
        self._tasks[job.id] = task
        task.add_done_callback(lambda _: self._tasks.pop(job.id, None))
        return before

    def get(self, id: str) -> Job | None:
        """Anybody's job."""
        return self._jobs.get(id)

    def find(self, id: str, alias: str, owner: str) -> Job | None:
        """The job, if it is this caller's and of this app."""
        job = self._jobs.get(id)
        return job if job is not None and (job.alias, job.owner) == (alias, owner) else None

    def position(self, job: Job) -> int:
        """How many queued jobs are before this one."""
        queued = [other.id for other in self._jobs.values() if other.state == "IN_QUEUE"]
        return queued.index(job.id)

    def cancel(self, job: Job) -> bool:
        """Whether there was anything left to cancel."""
        if job.state == "COMPLETED":
            return False
        self._tasks[job.id].cancel()
        _complete(job, error=CANCELLED)
        return True

    @property
    def at_work(self) -> int:
        """How many jobs are not over."""
        return len(self._tasks)

    async def close(self) -> None:
        for task in list(self._tasks.values()):
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _run(self, job: Job, work: Work, start_timeout: float | None) -> None:
        if start_timeout is not None and start_timeout < self._queue_seconds:
            await asyncio.sleep(start_timeout)
            body = {"detail": "Request timed out", "error_type": "request_timeout"}
            _complete(job, error=RefusedError(504, body, {"X-Fal-Request-Timeout-Type": "user"}))
            return
        await asyncio.sleep(self._queue_seconds)
        job.state = "IN_PROGRESS"
        job.log("The sandbox draws.")
        await asyncio.sleep(self._run_seconds)
        try:
            _complete(job, output=await work())
        except RefusedError as error:
            _complete(job, error=error)


def _complete(job: Job, output: dict[str, object] | None = None, error: RefusedError | None = None) -> None:
    job.output, job.error, job.state = output, error, "COMPLETED"
    job.log("Done." if error is None else f"Ended with {error.status}.")
