"""Which models Hugging Face serves, and through whom, by world: `today`, and `2025` as the incident reports saw it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

World = Literal["today", "2025"]
Serving = Literal["served", "deprecated", "absent"]


@dataclass(frozen=True)
class HubModel:
    """A text-to-image model on the Hub, or a LoRA of the models in `lora_of`, whose file is `weights`. `side` is its
    own width and height in px.

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
    lora_of: Collection[str] = ()
    weights: str = ""

    def on_hf_inference(self, world: World) -> Serving:
        return "served" if world == "2025" and not self.lora_of else self.now

    def mapping(self, world: World) -> dict[str, dict[str, str]]:
        """The Hub's `inferenceProviderMapping`: inference provider to what it calls this model."""
        called = {"hf-inference": self.id} if self.on_hf_inference(world) == "served" else {}
        called |= {} if self.fal_app is None else {"fal-ai": self.fal_app}
        called |= self.elsewhere
        adapter = {"adapter": "lora", "adapterWeightsPath": self.weights} if self.lora_of else {}
        live = {"status": "live", "task": "text-to-image"} | adapter
        return {name: {**live, "providerId": id} for name, id in called.items()}


PLAYGROUND = "playgroundai/playground-v2.5-1024px-aesthetic"
SD15 = "runwayml/stable-diffusion-v1-5"

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
        formerly=SD15,
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
    # LoRAs: one that two inference providers have, and three that only hf-inference could load.
    HubModel(
        "XLabs-AI/flux-RealismLora",
        "FluxPipeline",
        1024,
        "absent",
        fal_app="fal-ai/flux-lora",
        elsewhere={"replicate": "black-forest-labs/flux-dev-lora"},
        lora_of=("black-forest-labs/FLUX.1-dev",),
        weights="lora.safetensors",
    ),
    HubModel(
        "hugovntr/flux-schnell-realism",
        "FluxPipeline",
        1024,
        "absent",
        lora_of=("black-forest-labs/FLUX.1-schnell",),
        weights="schnell-realism_v2.3.safetensors",
    ),
    HubModel(
        "nerijs/pixel-art-xl",
        "StableDiffusionXLPipeline",
        1024,
        "absent",
        lora_of=("stabilityai/stable-diffusion-xl-base-1.0",),
        weights="pixel-art-xl.safetensors",
    ),
    HubModel(
        "latent-consistency/lcm-lora-sdv1-5",
        "StableDiffusionPipeline",
        512,
        "absent",
        lora_of=(SD15,),
        weights="pytorch_lora_weights.safetensors",
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
