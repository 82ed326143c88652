"""Dedicated endpoints: which models have one and what runs on it, as HUGGINGFACE_ENDPOINTS says it. Pure."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict

from imagegate.runtime.models import Catalogue, Model, Task
from imagegate.runtime.models_file import CatalogueError
from imagegate.runtime.parameters import Parameter
from imagegate.runtime.settings import BaseUrl

VARIABLE = "HUGGINGFACE_ENDPOINTS"
# What follows the key of a model that could do with the standard container, and whose endpoint runs our handler.
WITH_HANDLER = "+handler"
_KEY = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")

# What our handler does besides with every model that makes pictures from words, or with a ControlNet's.
MADE_BY_A_PIPELINE: Sequence[Task] = ("text_to_image", "control_openpose")
WITH_A_PICTURE: Sequence[Task] = ("image_to_image", "inpainting")
HANDLED: Mapping[str, Parameter] = {
    # Below a twentieth even 20 steps leave none to make.
    "strength": Parameter(minimum=0.05, maximum=1),
    "mask_blur": Parameter(minimum=0, maximum=64),
    "lora_weight": Parameter(minimum=-4, maximum=4),
}
MAX_LORAS = 4


class Endpoint(BaseModel):
    """A dedicated endpoint, and whether our handler runs there."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    url: BaseUrl
    has_handler: bool = False

    def speaks_handler(self, model: Model) -> bool:
        """Whether it is spoken to as our handler: the standard container makes pictures from words only."""
        return self.has_handler or "text_to_image" not in model.tasks


def _by_key(value: object) -> object:
    """`key=url,key+handler=url` as a mapping. The messages repeat nothing of it but keys: a URL may hold a password."""
    if not isinstance(value, str):
        return value
    found: dict[str, dict[str, object]] = {}
    for entry in filter(None, (part.strip() for part in value.split(","))):
        name, sign, url = entry.partition("=")
        key = name.strip().removesuffix(WITH_HANDLER)
        if not sign or not _KEY.fullmatch(key):
            raise ValueError(f"must be key=url,key{WITH_HANDLER}=url, each key that of a model")
        if key in found:
            raise ValueError(f"names {key} twice")
        found[key] = {"url": url.strip(), "has_handler": name.strip().endswith(WITH_HANDLER)}
    return found


# A model's key to its endpoint.
Endpoints = Annotated[Mapping[str, Endpoint], BeforeValidator(_by_key)]


def with_endpoints(catalogue: Catalogue, endpoints: Mapping[str, Endpoint]) -> Catalogue:
    """The catalogue with every model switched on that has an endpoint, whatever kept it off, doing what is done there.

    Raises CatalogueError naming every key that is no model's.
    """
    known = [model.key for model in catalogue.models]
    if unknown := sorted(endpoints.keys() - set(known)):
        raise CatalogueError(f"there is no model {', '.join(unknown)}; known: {', '.join(known)}", source=VARIABLE)
    models = (_at(endpoints[model.key], model) if model.key in endpoints else model for model in catalogue.models)
    return catalogue.model_copy(update={"models": tuple(models)})


def _at(endpoint: Endpoint, model: Model) -> Model:
    alive: dict[str, object] = {"enabled": True, "coming_soon": False, "disabled_reason": ""}
    # How much of a LoRA the inference providers take is nothing to an endpoint, whose standard container loads none.
    rest = {name: each for name, each in model.parameters.items() if name != "lora_weight"}
    if not endpoint.speaks_handler(model):
        return model.model_copy(update={**alive, "max_loras": 0, "parameters": rest})
    # What was to come runs on a handler of the operator's: nothing is known of it but that it speaks as ours does.
    if model.coming_soon or not set(MADE_BY_A_PIPELINE) & set(model.tasks):
        return model.model_copy(update=alive)
    more = {
        "tasks": tuple(dict.fromkeys((*model.tasks, *WITH_A_PICTURE))),
        "max_loras": MAX_LORAS,
        "parameters": {**HANDLED, **rest},
    }
    return model.model_copy(update={**alive, **more})
