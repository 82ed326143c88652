"""The webui at work: one generation at a time, whoever asks, and a client that leaves does not stop it."""

import asyncio
import base64
import json
import uuid
from dataclasses import replace

from imagegate.sandbox import webui
from imagegate.sandbox.call import Call
from imagegate.sandbox.ledger import State
from imagegate.sandbox.pictures import Picture, seed_of
from imagegate.sandbox.webui_progress import Progress
from imagegate.sandbox.webui_request import Generating, uncaught
from imagegate.sandbox.webui_work import Work, info

LARGEST_SIDE = 4096  # px; beyond it the real one runs out of memory
FORMATS = {"png": "png", "jpg": "jpeg", "jpeg": "jpeg", "webp": "webp"}  # by the option samples_format


class Engine:
    """Options, progress and the queue. A step takes `step_seconds`."""

    def __init__(self, step_seconds: float) -> None:
        self._step_seconds = step_seconds
        self._turn = asyncio.Lock()  # first come, first served, and nobody is told how many wait
        self._running: set[asyncio.Task[dict[str, object]]] = set()
        self._current: Picture | None = None
        self.progress = Progress()
        self.options: dict[str, object] = {
            "samples_format": "png",
            "sd_model_checkpoint": webui.CHECKPOINTS[0].title,
            "sd_checkpoint_hash": webui.CHECKPOINTS[0].sha256,
            "sd_vae": "Automatic",
            "CLIP_stop_at_last_layers": 1,
            "live_previews_enable": True,
        }

    def set_options(self, wanted: dict[str, object]) -> None:
        """Raises RefusedError 500 for an unknown checkpoint or option, and then nothing is changed."""
        for name in wanted:
            if name not in self.options:
                raise uncaught("KeyError", repr(name))
        if (asked := wanted.get("sd_model_checkpoint")) is not None:
            checkpoint = webui.find_checkpoint(str(asked))
            if checkpoint is None:
                raise uncaught("RuntimeError", f"model {asked!r} not found")
            wanted = wanted | {"sd_model_checkpoint": checkpoint.title, "sd_checkpoint_hash": checkpoint.sha256}
        self.options |= wanted

    def checkpoint_for(self, body: object) -> webui.Checkpoint:
        """The one that a request will use: an unknown one in its override_settings is silently ignored."""
        overrides = body.get("override_settings") if isinstance(body, dict) else None
        asked = overrides.get("sd_model_checkpoint") if isinstance(overrides, dict) else None
        loaded = webui.find_checkpoint(str(self.options["sd_model_checkpoint"])) or webui.CHECKPOINTS[0]
        return (webui.find_checkpoint(str(asked)) if asked else None) or loaded

    async def generate(self, call: Call, asked: Generating) -> dict[str, object]:
        """The answer of txt2img or img2img. Raises RefusedError 500, also for a size beyond the machine."""
        if max(asked.size) > LARGEST_SIDE or min(asked.size) < 8:
            call.settle(str(uuid.uuid4()), asked.prompt, asked.seed, "failed")
            raise uncaught("OutOfMemoryError", "CUDA out of memory. Tried to allocate 20.00 GiB")
        work = await asyncio.to_thread(Work.of, asked, self.checkpoint_for(call.body))
        task = asyncio.create_task(self._in_turn(call, work))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def report(self, wants_preview: bool) -> dict[str, object]:
        """The answer of progress."""
        preview = None
        if wants_preview and self._current is not None and self.progress.sampling_step:
            small = replace(self._current, width=64, height=64, format="jpeg", spoilt=None)
            preview = base64.b64encode(await small.draw()).decode()
        return {
            "progress": self.progress.share,
            "eta_relative": self.progress.eta,
            "state": self.progress.state(),
            "current_image": preview,
            "textinfo": None,
            "current_task": self.progress.task,
        }

    @property
    def at_work(self) -> int:
        """How many generations are under way or wait for their turn."""
        return len(self._running)

    async def close(self) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _in_turn(self, call: Call, work: Work) -> dict[str, object]:
        asked = work.asked
        async with self._turn:
            job = f"scripts_{type(asked).__name__.lower()}"
            self.progress = Progress.begin(job, asked.force_task_id, asked.n_iter, asked.worked_steps)
            try:
                return await self._work(call, work)
            finally:
                self._current = None
                self.progress.end()

    async def _work(self, call: Call, work: Work) -> dict[str, object]:
        asked, checkpoint = work.asked, work.checkpoint
        seed = seed_of(checkpoint.title, asked.model_dump_json()) if asked.seed == -1 else asked.seed
        overrides = asked.override_settings or {}
        format = FORMATS.get(str(overrides.get("samples_format", self.options["samples_format"])), "png")
        width, height = asked.size
        words = " ".join([work.prompt.text, *(lora.name for lora in work.prompt.loras)])
        first = Picture(words, seed, width, height, format, call.spoilt)
        done: list[Picture] = []
        for iteration in range(asked.n_iter):
            self.progress.job_no, self.progress.skipped = iteration, False
            batch = [replace(first, seed=seed + iteration * asked.batch_size + i) for i in range(asked.batch_size)]
            self._current = batch[0]
            done += await self._sample(batch, asked.worked_steps)
            if self.progress.interrupted:
                break
        images = [base64.b64encode(await picture.draw(work.retouch)).decode() for picture in done]
        state: State = "cancelled" if self.progress.interrupted else "finished"
        call.settle(str(uuid.uuid4()), asked.prompt, seed, state, instructions=work.instructions)
        said = info(work, seed, [picture.seed for picture in done], self.progress.job_timestamp)
        return {
            "images": [*images, *work.shown_maps()] if asked.send_images else [],
            "parameters": asked.echo(),
            "info": json.dumps(said),
        }

    async def _sample(self, batch: list[Picture], steps: int) -> list[Picture]:
        """The batch when all steps are done; stopped before, what the steps so far give: nothing, or another look."""
        for step in range(steps):
            self.progress.sampling_step = step
            if self.progress.interrupted or self.progress.skipped:
                return [replace(each, prompt=f"{each.prompt}, step {step} of {steps}") for each in batch if step]
            await asyncio.sleep(self._step_seconds)
        self.progress.sampling_step = steps
        return batch
