"""Dedicated endpoints: which models have one, as HUGGINGFACE_ENDPOINTS says it. Pure."""

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator

from imagegate.runtime.models import Catalogue
from imagegate.runtime.models_file import CatalogueError
from imagegate.runtime.settings import BaseUrl

VARIABLE = "HUGGINGFACE_ENDPOINTS"
_KEY = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def _by_key(value: object) -> object:
    """`key=url,key=url` as a mapping. The messages repeat nothing of it but keys: a URL may hold a password."""
    if not isinstance(value, str):
        return value
    found: dict[str, str] = {}
    for entry in filter(None, (part.strip() for part in value.split(","))):
        key, sign, url = entry.partition("=")
        if not sign or not _KEY.fullmatch(key.strip()):
            raise ValueError("must be key=url,key=url, each key that of a model")
        if key.strip() in found:
            raise ValueError(f"names {key.strip()} twice")
        found[key.strip()] = url.strip()
    return found


# A model's key to the address of its endpoint.
Endpoints = Annotated[Mapping[str, BaseUrl], BeforeValidator(_by_key)]


def with_endpoints(catalogue: Catalogue, endpoints: Mapping[str, str]) -> Catalogue:
    """The catalogue with every model switched on that has an endpoint, whatever kept it off.

    Raises CatalogueError naming every key that is no model's.
    """
    known = [model.key for model in catalogue.models]
    if unknown := sorted(endpoints.keys() - set(known)):
        raise CatalogueError(f"there is no model {', '.join(unknown)}; known: {', '.join(known)}", source=VARIABLE)
    alive = {"enabled": True, "coming_soon": False, "disabled_reason": ""}
    models = (model.model_copy(update=alive) if model.key in endpoints else model for model in catalogue.models)
    return catalogue.model_copy(update={"models": tuple(models)})
