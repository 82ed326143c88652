"""One piece of the webui's work: what it comes to, and what is said of the pictures afterwards."""

import hashlib
from dataclasses import dataclass

from PIL import Image

from imagegate.sandbox import webui, webui_prompt
from imagegate.sandbox.webui_canvas import Controlled, Given
from imagegate.sandbox.webui_controls import Unit, encoded_map, read_units
from imagegate.sandbox.webui_extensions import Lora, fits
from imagegate.sandbox.webui_request import Generating, Img2Img


@dataclass(frozen=True)
class Work:
    """What one call comes to: the words, what they order, and what came along."""

    asked: Generating
    checkpoint: webui.Checkpoint
    prompt: webui_prompt.Read
    given: Given | None
    units: list[Unit]
    maps: list[Image.Image]

    @classmethod
    def of(cls, asked: Generating, checkpoint: webui.Checkpoint) -> "Work":
        """Raises RefusedError for a picture or a control that is none."""
        given = Given.of(asked) if isinstance(asked, Img2Img) else None
        units = read_units(asked)
        maps = [unit.picture(given.image if given else None) for unit in units]
        return cls(asked, checkpoint, webui_prompt.read(asked.prompt), given, units, maps)

    @property
    def instructions(self) -> tuple[str, ...]:
        """Everything that it was told to do beside drawing."""
        negative = webui_prompt.read(self.asked.negative_prompt).instructions
        styles = tuple(f"style:{each}" for each in self.asked.styles or [])
        script = (f"script:{self.asked.script_name}",) if self.asked.script_name else ()
        return (*self.prompt.instructions, *negative, *styles, *script)

    def retouch(self, drawn: Image.Image) -> Image.Image:
        """The drawing with what came along. A control that does not fit the checkpoint is left out, without a word."""
        if self.given is not None:
            drawn = self.given.under(drawn)
        for unit, image in zip(self.units, self.maps, strict=True):
            if fits(unit.model, self.checkpoint.name):
                drawn = Controlled(image, unit.weight).over(drawn)
        return drawn

    def shown_maps(self) -> list[str]:
        """What was detected, behind the pictures: the controls that fit and show it."""
        shown = zip(self.units, self.maps, strict=True)
        return [
            encoded_map(image)
            for unit, image in shown
            if unit.save_detected_map and fits(unit.model, self.checkpoint.name)
        ]


def _extras(work: Work, scheduler: str) -> dict[str, object]:
    """What it says beside the plain settings: of LoRAs those that it has loaded, of controls all that it was told."""
    extras: dict[str, object] = {"Schedule type": scheduler}
    extras |= {f"ControlNet {number}": unit.told() for number, unit in enumerate(work.units)}
    if work.prompt.loras:
        extras["Lora hashes"] = ", ".join(f"{lora.name}: {_hash(lora)}" for lora in work.prompt.loras)
    return extras


def _hash(lora: Lora) -> str:
    return hashlib.sha256(lora.name.encode()).hexdigest()[:12]


def info(work: Work, seed: int, seeds: list[int], timestamp: str) -> dict[str, object]:
    """What the webui says of the pictures with these seeds."""
    asked, checkpoint = work.asked, work.checkpoint
    sampler, scheduler = webui.resolve_sampler(asked.sampler_name or asked.sampler_index, asked.scheduler)
    width, height = asked.size
    words = f"{asked.prompt}\nNegative prompt: {asked.negative_prompt}\n"
    settings = (
        f"Steps: {asked.steps}, Sampler: {sampler}, Schedule type: {scheduler}, CFG scale: {asked.cfg_scale}, "
        f"Size: {width}x{height}, Model hash: {checkpoint.hash}, Model: {checkpoint.name}, Version: v1.10.1"
    )
    return {
        "prompt": asked.prompt,
        "all_prompts": [asked.prompt] * len(seeds),
        "negative_prompt": asked.negative_prompt,
        "all_negative_prompts": [asked.negative_prompt] * len(seeds),
        "seed": seed,
        "all_seeds": seeds,
        "subseed": asked.subseed,
        "all_subseeds": [asked.subseed] * len(seeds),
        "subseed_strength": asked.subseed_strength,
        "width": width,
        "height": height,
        "sampler_name": sampler,
        "cfg_scale": asked.cfg_scale,
        "steps": asked.steps,
        "batch_size": asked.batch_size,
        "restore_faces": bool(asked.restore_faces),
        "face_restoration_model": None,
        "sd_model_name": checkpoint.name,
        "sd_model_hash": checkpoint.hash,
        "sd_vae_name": None,
        "sd_vae_hash": None,
        "seed_resize_from_w": asked.seed_resize_from_w,
        "seed_resize_from_h": asked.seed_resize_from_h,
        "denoising_strength": asked.strength,
        "extra_generation_params": _extras(work, scheduler),
        "index_of_first_image": 0,
        "infotexts": [f"{words}Seed: {each}, {settings}" for each in seeds],
        "styles": asked.styles or [],
        "job_timestamp": timestamp,
        "clip_skip": 1,
        "is_using_inpainting_conditioning": False,
        "version": "v1.10.1",
    }
