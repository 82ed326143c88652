"""What is installed in the webui that the sandbox plays: version 1.10 with two checkpoints.

Its LoRAs and ControlNet: see `webui_extensions`.
"""

from typing import NamedTuple

# Sampler and the scheduler it takes when asked for "Automatic" ("" = uniform). The first replaces an unknown one.
SAMPLERS = {
    "DPM++ 2M": "karras",
    "DPM++ SDE": "karras",
    "DPM++ 2M SDE": "exponential",
    "DPM++ 2M SDE Heun": "exponential",
    "DPM++ 2S a": "karras",
    "DPM++ 3M SDE": "exponential",
    "Euler a": "",
    "Euler": "",
    "LMS": "",
    "Heun": "",
    "DPM2": "karras",
    "DPM2 a": "karras",
    "DPM fast": "",
    "DPM adaptive": "",
    "Restart": "karras",
    "DDIM": "",
    "DDIM CFG++": "",
    "PLMS": "",
    "UniPC": "",
    "LCM": "",
}
ALIASES = {
    "DPM++ 2M": ["k_dpmpp_2m"],
    "DPM++ SDE": ["k_dpmpp_sde"],
    "Euler a": ["k_euler_a", "k_euler_ancestral"],
    "Euler": ["k_euler"],
    "LMS": ["k_lms"],
    "Heun": ["k_heun"],
    "DDIM": ["ddim"],
    "PLMS": ["plms"],
    "UniPC": ["unipc"],
    "LCM": ["k_lcm"],
}
SCHEDULERS = {
    "automatic": "Automatic",
    "uniform": "Uniform",
    "karras": "Karras",
    "exponential": "Exponential",
    "polyexponential": "Polyexponential",
    "sgm_uniform": "SGM Uniform",
    "kl_optimal": "KL Optimal",
    "align_your_steps": "Align Your Steps",
    "simple": "Simple",
    "normal": "Normal",
    "ddim": "DDIM",
    "beta": "Beta",
}
RHO = {"karras": 7.0, "polyexponential": 1.0}
UPSCALERS = ("None", "Lanczos", "Nearest")
ALWAYS_ON_SCRIPTS = ("comments", "extra options", "hypertile", "refiner", "sampler", "seed")


class Checkpoint(NamedTuple):
    """A model file: its title is the file's name and the first ten digits of its hash."""

    name: str
    sha256: str

    @property
    def hash(self) -> str:
        return self.sha256[:10]

    @property
    def file(self) -> str:
        return f"{self.name}.safetensors"

    @property
    def title(self) -> str:
        return f"{self.file} [{self.hash}]"


CHECKPOINTS = (
    Checkpoint("v1-5-pruned-emaonly", "6ce0161689b3853acaa03779ec93eafe75a02f4ced659bee03f50797806fa2fa"),
    Checkpoint("sd_xl_base_1.0", "31e35c80fc4829d14f90153f4c74cd59c90b779f6afe05a74cd6120b893f7e5b"),
)


def find_checkpoint(asked: str) -> Checkpoint | None:
    """By title, file, name or hash, as the webui finds one."""
    return next((each for each in CHECKPOINTS if asked in (each.title, each.file, each.name, each.hash)), None)


def resolve_sampler(asked: str | None, scheduler: str | None) -> tuple[str, str]:
    """The sampler and the scheduler's label that will be used. An unknown one silently becomes the first.

    Names of before 1.9 ("DPM++ 2M Karras") are split; the scheduler in them gives way to one that is named.
    """
    label = next((each for key, each in SCHEDULERS.items() if scheduler in (key, each)), "Automatic")
    name = asked or "Euler"
    for each in SCHEDULERS.values():
        if name.lower().endswith(" " + each.lower()):
            name = name[: -len(each) - 1]
            label = each if label == "Automatic" else label
    by_spelling = {
        spelling.lower(): sampler for sampler in SAMPLERS for spelling in (sampler, *ALIASES.get(sampler, []))
    }
    sampler = by_spelling.get(name.lower(), next(iter(SAMPLERS)))
    return sampler, label


def samplers() -> list[dict[str, object]]:
    return [
        {"name": name, "aliases": ALIASES.get(name, []), "options": {"scheduler": scheduler} if scheduler else {}}
        for name, scheduler in SAMPLERS.items()
    ]


def schedulers() -> list[dict[str, object]]:
    return [
        {"name": n, "label": label, "aliases": None, "default_rho": RHO.get(n, -1.0), "need_inner_model": False}
        for n, label in SCHEDULERS.items()
    ]


def upscalers() -> list[dict[str, object]]:
    return [
        {"name": name, "model_name": None, "model_path": None, "model_url": None, "scale": 4.0} for name in UPSCALERS
    ]


def sd_models() -> list[dict[str, object]]:
    return [
        {
            "title": each.title,
            "model_name": each.name,
            "hash": each.hash,
            "sha256": each.sha256,
            "filename": f"/models/Stable-diffusion/{each.file}",
            "config": None,
        }
        for each in CHECKPOINTS
    ]
