"""LoRAs by their ids on the Hub: which models each is for, and who can lay it over one. Pure.

The caller names a LoRA, and never an address: what is sent for it is made here, from its id and from the Hub's word.

https://huggingface.co/docs/inference-providers/hub-api
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from imagegate.providers.huggingface.wire import to_error
from imagegate.runtime.answer import Answer
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.models import Model
from imagegate.runtime.redaction import clip, one_line
from imagegate.runtime.tasks import FittedLora

# owner/name, as the Hub allows them; it goes into a path and into a header, so that no part may begin with a dot.
_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9_][A-Za-z0-9._-]{0,95}")
# A file in a repository, whose address the machine that makes the picture fetches.
_FILE = re.compile(r"[\w-][\w .()+-]*(?:/[\w-][\w .()+-]*)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Adapter:
    """How one inference provider lays a LoRA over its model: what it calls that model, and the LoRA's file."""

    model: str
    weights: str


@dataclass(frozen=True, slots=True)
class Lora:
    """What the Hub says of a LoRA: the ids of the models that it is for, and who serves it, by inference provider."""

    bases: frozenset[str]
    adapters: Mapping[str, Adapter]


def lora_path(name: str) -> str:
    """Where the Hub says what a LoRA is for and who serves it."""
    return f"/api/models/{name}?expand[]=inferenceProviderMapping&expand[]=cardData"


def check_names(loras: Iterable[FittedLora]) -> None:
    """Raises Failure(UNSUPPORTED) for a name that is no repository's, such as that of a file in a webui."""
    for lora in loras:
        if not _HUB_ID.fullmatch(lora.name):
            raise unsupported(f"{clip(one_line(lora.name), 64)!r} is no LoRA of the Hub, whose names are owner/name")


def to_lora(answer: Answer, name: str) -> Lora:
    """What the Hub says of the LoRA `name`.

    Raises Failure: UNSUPPORTED where the Hub does not have it (MODEL_NOT_FOUND would be held against the model), else
    why the Hub does not tell.
    """
    if answer.status != 200:
        failure = to_error(answer, name)
        if failure.reason in (Reason.MODEL_NOT_FOUND, Reason.MODEL_ACCESS_DENIED):
            failure = unsupported(f"the Hub does not have the LoRA {name}, or not for this key")
        failure.dispatch = Dispatch.NOT_SENT
        raise failure
    body = answer.json()
    if not isinstance(body, dict):
        raise Failure(Reason.BAD_OUTPUT, "the Hub answered JSON of another shape than it documents")
    card = body.get("cardData")
    told = card.get("base_model") if isinstance(card, dict) else None
    bases = told if isinstance(told, list) else [told]
    found = body.get("inferenceProviderMapping")
    if isinstance(found, dict):
        found = [{"provider": provider, **entry} for provider, entry in found.items() if isinstance(entry, dict)]
    entries = found if isinstance(found, list) else []
    adapters = {
        str(each["provider"]): Adapter(each["providerId"], each["adapterWeightsPath"])
        for each in entries
        if _is_usable(each)
    }
    return Lora(frozenset(base for base in bases if isinstance(base, str)), adapters)


def check_base(lora: Lora, name: str, model: Model) -> None:
    """Raises Failure(UNSUPPORTED) where the LoRA is for other models than `model`: by one of those the picture would
    not be what was asked for.
    """
    if lora.bases.isdisjoint({*model.names, model.base_model}):
        others = clip(one_line(", ".join(sorted(lora.bases))), 128) or "none that its page names"
        raise unsupported(f"{name} is not a LoRA of {model.upstream_model}, but of {others}")


def unsupported(what: str) -> Failure:
    """A LoRA that cannot be had here; nothing was sent, and another candidate may have it."""
    return Failure(
        Reason.UNSUPPORTED,
        what,
        remedy="name a LoRA of the Hub that is made for this model: https://huggingface.co/models?other=lora",
        phase="submit",
        dispatch=Dispatch.NOT_SENT,
    )


def _is_usable(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and bool(entry.get("provider") and entry.get("adapter"))
        and entry.get("status") == "live"
        and entry.get("task") == "text-to-image"
        and isinstance(entry.get("providerId"), str)
        and isinstance(entry.get("adapterWeightsPath"), str)
        and bool(_FILE.fullmatch(entry["adapterWeightsPath"]))
    )
