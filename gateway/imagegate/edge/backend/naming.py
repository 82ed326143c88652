"""What web backends call things, and what these are called everywhere else. Pure."""

import re
from typing import Any

from pydantic import BaseModel, ConfigDict

LOCAL_ENGINE = "automatic1111"
# AUTOMATIC1111 and what it has loaded, as the guide calls them.
SHOWN_ENGINE = "stable-diffusion"
SHOWN_LOCAL_MODEL = "stable-diffusion-local"
# What a request without a model takes.
ROUTE = "web"
# Fields of a request that have a name of their own here; all others are only spelt differently.
OWN_NAMES = {"guidance_scale": "cfgScale"}


def camel(name: str) -> str:
    """`negative_prompt` as it is spelt here: `negativePrompt`."""
    return re.sub(r"_([a-z0-9])", lambda found: found[1].upper(), name)


def shown_field(place: str) -> str:
    """The place of a request's field, such as `requests[3].guidance_scale`, by the names that are used here."""
    return re.sub(r"[A-Za-z_][A-Za-z0-9_]*", lambda found: OWN_NAMES.get(found[0], camel(found[0])), place)


def shown_provider(name: str) -> str:
    """The provider as callers know it."""
    return SHOWN_ENGINE if name == LOCAL_ENGINE else name


def own_provider(name: str) -> str:
    """The provider that is meant by `name`: by its own, or as callers know it."""
    return LOCAL_ENGINE if name == SHOWN_ENGINE else name


def shown_model(provider: str, upstream_model: str) -> str:
    """The model as callers know it: whatever the local engine has loaded is one, all others go by the upstream's id."""
    return SHOWN_LOCAL_MODEL if provider == LOCAL_ENGINE else upstream_model


def own_model(name: str) -> str:
    """The model that is meant by `name`: whatever a model is called in our answers finds it; nothing is the route."""
    if name == SHOWN_LOCAL_MODEL:
        return f"{LOCAL_ENGINE}/local"
    provider, slash, key = name.partition("/")
    return f"{own_provider(provider)}/{key}" if slash else name or ROUTE


class Shape(BaseModel):
    """A part of an answer: names in camel case; what is not known is null."""

    model_config = ConfigDict(alias_generator=camel, populate_by_name=True)

    def shown(self) -> dict[str, Any]:
        """As it goes out."""
        return self.model_dump(mode="json", by_alias=True)
