"""Who serves a model, as the Hub's mapping says: how it is read, and how long it is believed.

https://huggingface.co/docs/inference-providers/hub-api
"""

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog

from imagegate.providers.huggingface.loras import Adapter, Lora, check_base, lora_path, to_lora, unsupported
from imagegate.providers.huggingface.shapes import BY_ROUTER, WITH_LORA, hf_inference
from imagegate.providers.huggingface.wire import SAYINGS, to_error
from imagegate.runtime.answer import Answer
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.models import Model
from imagegate.runtime.redaction import clip, one_line
from imagegate.runtime.upstream import UpstreamClient
from imagegate.runtime.words import parsed

log = structlog.get_logger()

AUTO = "auto"
# The first that serves a model is taken.
SPOKEN = tuple(BY_ROUTER)

# Seconds. The Hub itself checks its mappings every 6 hours; ours may be a little behind.
BELIEVED_SECONDS = 600.0
# Seconds for which a Hub that failed is not asked again.
FAILED_SECONDS = 30.0
# Seconds. A request for a model that is not remembered waits for the Hub, which usually takes a tenth of this.
PATIENCE_SECONDS = 3.0
# Anybody may name models of the Hub; those that were asked for longest ago are forgotten first.
MAX_REMEMBERED = 512

_Told = TypeVar("_Told")


@dataclass(frozen=True, slots=True)
class Served:
    """Who makes a model's pictures, what that one calls the model, and how a LoRA is laid over it there (None: there is
    none, or its name is enough).
    """

    inference_provider: str
    model: str
    adapter: Adapter | None = None


class Hub:
    """The Hub's word on who serves a model, remembered for a while by `clock` (seconds)."""

    def __init__(self, client: UpstreamClient, url: str, clock: Callable[[], float]) -> None:
        self._client = client
        self._url = url
        self._clock = clock
        # By the path that was asked for: until when it is believed, and what was told (None: nothing).
        self._remembered: OrderedDict[str, tuple[float, Any]] = OrderedDict()

    async def served(self, hub_id: str, wanted: str) -> Served:
        """Who makes this model's pictures: the `wanted` one, or with AUTO the first that does and is spoken.

        While the Hub fails, hf-inference is taken for AUTO: it needs no mapping. Raises Failure: MODEL_NOT_FOUND where
        nobody spoken serves the model, CREDENTIALS_REJECTED by the Hub's word, UPSTREAM_ERROR where `wanted` needs a
        mapping that is not to be had.
        """
        if wanted == hf_inference.NAME:
            return by_hf_inference(hub_id)
        known = await self._ask(mapping_path(hub_id), hub_id, to_mapping)
        if known is not None:
            return choose(known, hub_id, wanted)
        if wanted == AUTO:
            return by_hf_inference(hub_id)
        raise _untold(hub_id, wanted)

    async def served_with_lora(self, model: Model, lora: str, wanted: str) -> Served:
        """Who lays the LoRA called `lora` over this model: whom its own mapping names, else, where it serves the model,
        hf-inference, which takes the name of any LoRA.

        In this order, because that hf-inference's machines hear the name through the router is documented by their
        source only. Raises Failure: UNSUPPORTED where nobody does, or it is for another model; as `served`.
        """
        known = await self._ask(lora_path(lora), lora, to_lora)
        if known is not None:
            check_base(known, lora, model)
            if (found := choose_adapter(known, wanted)) is not None:
                return found
        elif wanted in WITH_LORA:
            raise _untold(lora, wanted)
        if wanted in (AUTO, hf_inference.NAME):
            served = await self.served(model.upstream_model, wanted)
            if served.inference_provider == hf_inference.NAME:
                return served
        raise unsupported(f"nobody who serves {model.upstream_model} here lays the LoRA {lora} over it")

    async def look_up(self, hub_id: str) -> tuple[Mapping[str, str], bool | None]:
        """Who serves the model and whether it is warm (None: the Hub does not tell), asked now and remembered.

        Raises Failure: MODEL_NOT_FOUND where the Hub does not have it, or why the Hub does not tell.
        """
        answer = await self._get(f"{mapping_path(hub_id)}&expand[]=inference")
        mapping = to_mapping(answer, hub_id)
        self._remember(mapping_path(hub_id), self._clock() + BELIEVED_SECONDS, mapping)
        return mapping, to_warm(answer)

    def forget(self, hub_id: str) -> None:
        """What was remembered of this model has turned out wrong."""
        self._remembered.pop(mapping_path(hub_id), None)

    def forget_lora(self, name: str) -> None:
        """As `forget`, of a LoRA."""
        self._remembered.pop(lora_path(name), None)

    async def _ask(self, path: str, hub_id: str, read: Callable[[Answer, str], _Told]) -> _Told | None:
        """What the Hub last told, asked again when that is too old; None while it fails and has never told."""
        until, told = self._remembered.get(path, (self._clock(), None))
        known: _Told | None = told
        if self._clock() < until:
            return known
        keep = BELIEVED_SECONDS
        try:
            known = read(await self._get(path), hub_id)
        except Failure as failure:
            if failure.reason in (Reason.MODEL_NOT_FOUND, Reason.CREDENTIALS_REJECTED, Reason.UNSUPPORTED):
                raise
            log.warning("the hub does not tell who serves a model", model=hub_id, message=failure.message)
            keep = FAILED_SECONDS
        self._remember(path, self._clock() + keep, known)
        return known

    async def _get(self, path: str) -> Answer:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await self._client.json_call("GET", self._url + path)
        except TimeoutError as error:
            raise Failure(Reason.TIMEOUT, f"the Hub did not answer within {PATIENCE_SECONDS:g} s") from error

    def _remember(self, path: str, until: float, known: object) -> None:
        self._remembered[path] = (until, known)
        self._remembered.move_to_end(path)
        while len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)


def by_hf_inference(hub_id: str) -> Served:
    """A model at Hugging Face's own inference provider, which needs no mapping."""
    return Served(hf_inference.NAME, hub_id)


def mapping_path(hub_id: str) -> str:
    """Where the Hub says who serves a model."""
    return f"/api/models/{hub_id}?expand[]=inferenceProviderMapping"


def to_mapping(answer: Answer, hub_id: str) -> Mapping[str, str]:
    """Who serves the model now: by inference provider, what that one calls it.

    The Hub has two shapes for it, an object by provider and a list. Left out is what is not live, is for another task
    or is an adapter (LoRA), which takes more than a prompt. Raises Failure where the Hub does not tell.
    """
    if answer.status != 200:
        failure = to_error(answer, hub_id)
        failure.dispatch = Dispatch.NOT_SENT
        raise failure
    body = answer.json()
    if not isinstance(body, dict):
        raise Failure(Reason.BAD_OUTPUT, "the Hub answered JSON of another shape than it documents")
    found = body.get("inferenceProviderMapping")  # absent where nobody serves the model
    if isinstance(found, dict):
        found = [{"provider": name, **entry} for name, entry in found.items() if isinstance(entry, dict)]
    entries = found if isinstance(found, list) else []
    return {str(entry["provider"]): str(entry.get("providerId") or "") for entry in entries if _is_usable(entry)}


def to_warm(answer: Answer) -> bool | None:
    """Whether the model is loaded somewhere; where it is not served, or cold, the Hub does not tell."""
    body = parsed(answer)
    return True if isinstance(body, dict) and body.get("inference") == "warm" else None


def choose(mapping: Mapping[str, str], hub_id: str, wanted: str = AUTO) -> Served:
    """Whom to ask for the model: the `wanted` one, or the first of SPOKEN.

    Raises Failure(MODEL_NOT_FOUND) naming who serves it instead.
    """
    candidates = SPOKEN if wanted == AUTO else (wanted,)
    for name in candidates:
        if name == hf_inference.NAME and name in mapping:
            return by_hf_inference(hub_id)
        if name in mapping and _PROVIDER_ID.fullmatch(mapping[name]):
            return Served(name, mapping[name])
    able = [name for name in SPOKEN if name in mapping and name not in candidates]
    others = clip(one_line(", ".join(sorted(mapping))), 128) or "nobody"
    raise Failure(
        Reason.MODEL_NOT_FOUND,
        f"{hub_id} is not served by {' or '.join(candidates)} now; the Hub's mapping names {others}",
        remedy=ASK_ANOTHER.format(name=able[0]) if able else SAYINGS[Reason.MODEL_NOT_FOUND][1],
        phase="submit",
        dispatch=Dispatch.NOT_SENT,
    )


def choose_adapter(lora: Lora, wanted: str = AUTO) -> Served | None:
    """Whom to ask for a picture with this LoRA: the `wanted` one, or the first of WITH_LORA; None where none has it."""
    for name in WITH_LORA if wanted == AUTO else (wanted,):
        adapter = lora.adapters.get(name)
        if name in WITH_LORA and adapter is not None and _PROVIDER_ID.fullmatch(adapter.model):
            return Served(name, adapter.model, adapter)
    return None


def _untold(hub_id: str, wanted: str) -> Failure:
    return Failure(
        Reason.UPSTREAM_ERROR,
        f"the Hub does not tell under which name {wanted} serves {hub_id}",
        remedy="set HUGGINGFACE_INFERENCE_PROVIDER=auto, or look at https://status.huggingface.co",
        phase="submit",
        dispatch=Dispatch.NOT_SENT,
    )


# Of a model's own entry the pin outweighs the setting.
ASK_ANOTHER = (
    "set HUGGINGFACE_INFERENCE_PROVIDER={name} (or auto), or the inference_provider in the model's entry if it has one"
)
# Foreign text that becomes a path: no part of it may begin with a dot. Replicate's may name a version.
_PROVIDER_ID = re.compile(r"\w[\w.-]*(?:/\w[\w.-]*)*(?::\w+)?", re.ASCII)


def _is_usable(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and bool(entry.get("provider"))
        and entry.get("status") == "live"
        and entry.get("task") == "text-to-image"
        and not entry.get("adapter")
    )
