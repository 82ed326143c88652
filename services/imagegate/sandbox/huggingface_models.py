"""Which models Hugging Face serves, and through whom, by world: `today`, and `2025` as the incident reports saw it."""

from dataclasses import dataclass
from typing import Literal

World = Literal["today", "2025"]
Serving = Literal["served", "deprecated", "absent"]


@dataclass(frozen=True)
class HubModel:
    """A text-to-image model on the Hub. `side` is its own width and height in px.

    `fal_app` is the app that serves it through the inference provider fal-ai, `now` what hf-inference does with it
    today; in 2025 hf-inference served them all. `needs_pro`: a free key is refused, whoever would serve it.
    """

    id: str
    pipeline: str
    side: int
    now: Serving
    fal_app: str | None = None
    needs_pro: bool = False
    formerly: str | None = None

    def on_hf_inference(self, world: World) -> Serving:
        return "served" if world == "2025" else self.now

    def mapping(self, world: World) -> dict[str, dict[str, str]]:
        """The Hub's `inferenceProviderMapping`: inference provider to what it calls this model."""
        found = {}
        if self.on_hf_inference(world) == "served":
            found["hf-inference"] = {"status": "live", "providerId": self.id, "task": "text-to-image"}
        if self.fal_app is not None:
            found["fal-ai"] = {"status": "live", "providerId": self.fal_app, "task": "text-to-image"}
        return found


MODELS = (
    HubModel("black-forest-labs/FLUX.1-schnell", "FluxPipeline", 1024, "served", fal_app="fal-ai/flux/schnell"),
    HubModel("black-forest-labs/FLUX.1-dev", "FluxPipeline", 1024, "served", fal_app="fal-ai/flux/dev", needs_pro=True),
    HubModel("stabilityai/stable-diffusion-3-medium-diffusers", "StableDiffusion3Pipeline", 1024, "served"),
    HubModel(
        "stabilityai/stable-diffusion-xl-base-1.0",
        "StableDiffusionXLPipeline",
        1024,
        "deprecated",
        fal_app="fal-ai/fast-sdxl",
    ),
    HubModel(
        "stable-diffusion-v1-5/stable-diffusion-v1-5",
        "StableDiffusionPipeline",
        512,
        "absent",
        formerly="runwayml/stable-diffusion-v1-5",
    ),
)


def find_model(hub_id: str) -> HubModel | None:
    """By its id or by the id it had before it moved."""
    return next((model for model in MODELS if hub_id in (model.id, model.formerly)), None)


def find_by_fal_app(app: str) -> HubModel | None:
    return next((model for model in MODELS if model.fal_app == app), None)
