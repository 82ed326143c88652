"""How far the webui is: one state for the whole process, as in the real one."""

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Self


@dataclass
class Progress:
    """What runs now; idle while `job_count` is 0. `interrupted` ends the call, `skipped` the present picture."""

    job: str = ""
    task: str | None = None
    job_count: int = 0
    job_no: int = 0
    sampling_step: int = 0
    sampling_steps: int = 0
    interrupted: bool = False
    skipped: bool = False
    job_timestamp: str = "0"
    started: float = 0.0

    @classmethod
    def begin(cls, job: str, task: str | None, job_count: int, steps: int) -> Self:
        """Of a call that has just got its turn: `job_count` batches of `steps` each."""
        return cls(
            job=job,
            task=task,
            job_count=job_count,
            sampling_steps=steps,
            job_timestamp=datetime.now().astimezone().strftime("%Y%m%d%H%M%S"),
            started=time.monotonic(),
        )

    def end(self) -> None:
        """Idle again; whether the last call was interrupted stays to be seen until the next."""
        self.job, self.task, self.job_count = "", None, 0

    @property
    def share(self) -> float:
        """0 to 1; from 0.01 on while something runs."""
        if self.job_count == 0:
            return 0.0
        step = self.sampling_step / self.sampling_steps if self.sampling_steps else 0.0
        return min(0.01 + (self.job_no + step) / self.job_count, 1.0)

    @property
    def eta(self) -> float:
        """Seconds left, as far as the pace so far tells."""
        if self.job_count == 0:
            return 0.0
        return (time.monotonic() - self.started) * (1 - self.share) / self.share

    def state(self) -> dict[str, object]:
        return {
            "skipped": self.skipped,
            "interrupted": self.interrupted,
            "stopping_generation": False,
            "job": self.job,
            "job_count": self.job_count,
            "job_timestamp": self.job_timestamp,
            "job_no": self.job_no,
            "sampling_step": self.sampling_step,
            "sampling_steps": self.sampling_steps,
        }
