"""Which models Hugging Face serves, and through whom, by world: `today`, and `2025` as the incident reports saw it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

World = Literal["today", "2025"]
Serving = Literal["served", "deprecated", "absent"]


@dataclass(frozen=True)
class HubModel:
    """A text-to-image model on the Hub. `side` is its own width and height in px.

    `fal_app` is the app that serves it through the inference provider fal-ai, `elsewhere` what the others call it;
    `now` is what hf-inference does with it today; in 2025 hf-inference served them all. `needs_pro`: a free key is
    refused, whoever would serve it.
    """

    id: str
    pipeline: str
    side: int
    now: Serving
    fal_app: str | None = None
    needs_pro: bool = False
    formerly: str | None = None
    elsewhere: Mapping[str, str] = field(default_factory=dict)

    def on_hf_inference(self, world: World) -> Serving:
        return "served" if world == "2025" else self.now

    def mapping(self, world: World) -> dict[str, dict[str, str]]:
        """The Hub's `inferenceProviderMapping`: inference provider to what it calls this model."""
        called = {"hf-inference": self.id} if self.on_hf_inference(world) == "served" else {}
        called |= {} if self.fal_app is None else {"fal-ai": self.fal_app}
        called |= self.elsewhere
        return {name: {"status": "live", "providerId": id, "task": "text-to-image"} for name, id in called.items()}


PLAYGROUND = "playgroundai/playground-v2.5-1024px-aesthetic"

MODELS = (
    HubModel(
        "black-forest-labs/FLUX.1-schnell",
        "FluxPipeline",
        1024,
        "served",
        fal_app="fal-ai/flux/schnell",
        elsewhere={
            "together": "black-forest-labs/FLUX.1-schnell",
            "replicate": "black-forest-labs/flux-schnell",
            "nscale": "black-forest-labs/FLUX.1-schnell",
        },
    ),
    HubModel(
        "black-forest-labs/FLUX.1-dev",
        "FluxPipeline",
        1024,
        "served",
        fal_app="fal-ai/flux/dev",
        needs_pro=True,
        elsewhere={"together": "black-forest-labs/FLUX.1-dev", "replicate": "black-forest-labs/flux-dev"},
    ),
    HubModel("stabilityai/stable-diffusion-3-medium-diffusers", "StableDiffusion3Pipeline", 1024, "served"),
    HubModel(
        "stabilityai/stable-diffusion-xl-base-1.0",
        "StableDiffusionXLPipeline",
        1024,
        "deprecated",
        fal_app="fal-ai/fast-sdxl",
        elsewhere={"nscale": "stabilityai/stable-diffusion-xl-base-1.0"},
    ),
    HubModel(
        "stable-diffusion-v1-5/stable-diffusion-v1-5",
        "StableDiffusionPipeline",
        512,
        "absent",
        formerly="runwayml/stable-diffusion-v1-5",
    ),
    # One for each of the others alone, so that each can be met without being asked for. That nobody else serves these
    # is made up.
    HubModel(
        "Lykon/DreamShaper", "StableDiffusionPipeline", 512, "absent", elsewhere={"together": "Lykon/DreamShaper"}
    ),
    HubModel(
        PLAYGROUND, "StableDiffusionXLPipeline", 1024, "absent", elsewhere={"replicate": f"{PLAYGROUND}:{'a' * 64}"}
    ),
    HubModel(
        "ByteDance/SDXL-Lightning",
        "StableDiffusionXLPipeline",
        1024,
        "absent",
        elsewhere={"nscale": "ByteDance/SDXL-Lightning"},
    ),
)


def find_model(hub_id: str) -> HubModel | None:
    """By its id or by the id it had before it moved."""
    return next((model for model in MODELS if hub_id in (model.id, model.formerly)), None)


def find_by_fal_app(app: str) -> HubModel | None:
    return next((model for model in MODELS if model.fal_app == app), None)


def find_elsewhere(provider: str, called: object) -> HubModel | None:
    """By what another inference provider calls it, or by the version in that name."""
    for model in MODELS:
        name = model.elsewhere.get(provider)
        if name is not None and called in (name, name.partition(":")[2] or name):
            return model
    return None
