"""From keyword arguments to a request: the names are those of `GenerateRequest`, enums go by their bare names."""

import difflib
import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict

from google.protobuf.descriptor import EnumDescriptor

from imagegate.client.error import invalid
from imagegate.client.plain import prefix_of
from imagegate.runtime.errors import Violation
from imagegate.runtime.tasks import pictures
from imagegate.runtime.validation import MAX_INPUT_BYTES
from imagegate.v1 import catalog_pb2, generation_pb2

# The parts of a request whose fields are arguments like all others, by the field that holds them.
PARTS = {"routing": generation_pb2.Routing.DESCRIPTOR, "output": generation_pb2.Output.DESCRIPTOR}
PART_OF = {name: part for part, descriptor in PARTS.items() for name in descriptor.fields_by_name}
FIELDS = generation_pb2.GenerateRequest.DESCRIPTOR.fields_by_name
KNOWN = (*(name for name in FIELDS if name not in PARTS), *PART_OF)
# What a text that names a pose template begins with.
TEMPLATE = "template:"
# Our channels take far larger answers than the default is made for.
MAX_BYTES = 56_000_000


TaskName = Literal[
    "TEXT_TO_IMAGE",
    "IMAGE_TO_IMAGE",
    "INPAINTING",
    "CONTROL_OPENPOSE",
    "CONTROL_CANNY",
    "CONTROL_DEPTH",
    "CONTROL_BLUR",
    "POSE_EXTRACTION",
    "IDENTITY",
]
QualityName = Literal["SD", "HD", "ULTRA", "PREMIUM"]
TierName = Literal["free", "basic", "pro", "enterprise"]


class GenerateFields(TypedDict, total=False):
    """What `generate` takes besides prompt and model. None, or leaving it out, takes the model's own default."""

    negative_prompt: str | None
    width: int | None
    height: int | None
    steps: int | None
    guidance_scale: float | None
    seed: int | None
    sampler: str | None
    count: int | None
    on_unsupported: Literal["ADJUST", "REFUSE"] | None
    must_keep: Sequence[str]
    request_id: str
    idempotency_key: str
    allow_providers: Sequence[str]
    deny_providers: Sequence[str]
    no_fallback: bool
    payment: Literal["PAY_ONCE", "AVAILABLE"] | None
    max_credits: int | None
    tier: Literal["free", "basic", "pro", "enterprise"] | None
    quality: Literal["SD", "HD", "ULTRA", "PREMIUM"] | None
    format: Literal["PNG", "JPEG", "WEBP"] | None
    delivery: Literal["INLINE", "NONE"] | None
    max_bytes: int | None
    provider_options: Mapping[str, Mapping[str, Any]]
    user: str
    project: str
    image_to_image: Mapping[str, Any]
    inpainting: Mapping[str, Any]
    pose_extraction: Mapping[str, Any]
    controls: Sequence[Mapping[str, Any]]
    identity: Sequence[Mapping[str, Any]]
    loras: Sequence[Mapping[str, Any]]


class RecommendFields(TypedDict, total=False):
    """What `recommend` takes; None, or leaving it out, is no limit. Credits are for one picture of the model's usual
    size, seconds for what it usually takes at most.
    """

    task: TaskName | None
    max_credits: int | None
    max_seconds: float | None
    min_quality: QualityName | None
    use_case: str
    tier: TierName | None
    limit: int | None


def to_request(prompt: str, model: str, fields: Mapping[str, Any]) -> generation_pb2.GenerateRequest:
    """The request. It gets an id here, so that a call that never arrives has one as well.

    Raises TypeError for a name that is not a field or a value of the wrong type, and GenerationError
    (INVALID_REQUEST) for a value that does not fit on the wire.
    """
    request = generation_pb2.GenerateRequest()
    given = {"prompt": prompt, "model": model, **fields}
    for name, value in given.items():
        if name not in KNOWN:
            raise TypeError(_unknown("generate()", name, KNOWN))
        if value is not None:
            _put(getattr(request, PART_OF[name]) if name in PART_OF else request, name, value, name)
    if not request.output.HasField("max_bytes"):
        request.output.max_bytes = MAX_BYTES
    if not request.request_id:
        request.request_id = uuid.uuid4().hex
    check_inputs("task", request)
    return request


def check_inputs(field: str, *requests: generation_pb2.GenerateRequest) -> None:
    """What no router takes is not sent at all. Raises GenerationError where all pictures together are too large."""
    size = sum(len(image.data) for request in requests for _, image in pictures(request))
    if size > MAX_INPUT_BYTES:
        limit = MAX_INPUT_BYTES // 1024**2
        told = f"all pictures together have {size:,} bytes; at most {limit} MiB are allowed"
        raise invalid(Violation(field, told))


def to_list_request(provider: str, task: str, tier: str, use_case: str) -> catalog_pb2.ListModelsRequest:
    """Which models to list. Raises GenerationError (INVALID_REQUEST) for a task that there is not."""
    request = catalog_pb2.ListModelsRequest(provider=provider, tier=tier, use_case=use_case)
    if task:
        _put(request, "task", task, "task")
    return request


def to_order(prompt: str, model: str, fields: Mapping[str, Any]) -> generation_pb2.GenerateRequest:
    """The request, with a key where the caller has none: whatever repeats it on the way, it is paid for once.

    Raises what `to_request` raises.
    """
    request = to_request(prompt, model, fields)
    if not request.idempotency_key:
        request.idempotency_key = uuid.uuid4().hex
    return request


def to_recommend_request(fields: Mapping[str, Any]) -> catalog_pb2.RecommendModelsRequest:
    """The question. Raises what `to_request` raises."""
    request = catalog_pb2.RecommendModelsRequest()
    for name, value in fields.items():
        if name not in request.DESCRIPTOR.fields_by_name:
            raise TypeError(_unknown("recommend()", name, list(request.DESCRIPTOR.fields_by_name)))
        if value is not None:
            _put(request, name, value, name)
    return request


def _put(message: Any, name: str, value: Any, place: str) -> None:
    """Set the field `name` of `message`; `place` is what errors call it ("controls[0].start")."""
    field = message.DESCRIPTOR.fields_by_name[name]
    if field.enum_type is not None and isinstance(value, str):
        value = _enum_number(place, field.enum_type, value)
    if field.is_repeated and isinstance(value, str):
        raise TypeError(f"{place} takes a list, not the one text {_clipped(value)}")
    if field.message_type is not None and name != "provider_options":
        _put_message(message, name, value, place)
        return
    try:
        if name == "provider_options":
            for provider, options in value.items():
                message.provider_options[provider].update(options)
        elif field.is_repeated:
            getattr(message, name).extend(value)
        else:
            setattr(message, name, value)
    except (TypeError, AttributeError) as error:
        raise TypeError(f"{place} does not take {_clipped(value)}") from error
    except ValueError as error:  # an integer beyond the field's bits, or half of a surrogate pair
        raise invalid(Violation(place, f"{_clipped(value)} does not fit")) from error


def _put_message(message: Any, name: str, value: Any, place: str) -> None:
    field = message.DESCRIPTOR.fields_by_name[name]
    other = message.WhichOneof(field.containing_oneof.name) if field.containing_oneof else None
    if other not in (None, name):
        raise invalid(Violation(place, f"cannot go together with {other}"))
    part = getattr(message, name)
    if field.message_type is generation_pb2.InputImage.DESCRIPTOR:
        _put_image(part, value, place)
    elif not field.is_repeated:
        _fill(part, value, place)
    elif not isinstance(value, Sequence):
        raise TypeError(f"{place} takes a list, not {_clipped(value)}")
    else:
        for number, each in enumerate(value):
            _fill(part.add(), each, f"{place}[{number}]")


def _fill(part: Any, given: object, place: str) -> None:
    if not isinstance(given, Mapping):
        raise TypeError(f"{place} takes a mapping of {', '.join(part.DESCRIPTOR.fields_by_name)}")
    part.SetInParent()
    for field, value in given.items():
        if field not in part.DESCRIPTOR.fields_by_name:
            raise TypeError(_unknown(place, field, list(part.DESCRIPTOR.fields_by_name)))
        if value is not None:
            _put(part, field, value, f"{place}.{field}")


def _put_image(image: generation_pb2.InputImage, value: object, place: str) -> None:
    """A picture as data, as a file to read, as the address of one, or as the `template:` of a pose."""
    if isinstance(value, bytes):
        image.data = value
    elif isinstance(value, os.PathLike):
        image.data = Path(value).read_bytes()
    elif isinstance(value, str) and value.startswith(TEMPLATE):
        image.template = value.removeprefix(TEMPLATE)
    elif isinstance(value, str) and value.startswith("https://"):
        image.uri = value
    else:
        told = "takes bytes, a pathlib.Path, an https:// address or template:NAME"
        raise TypeError(f"{place} {told}, not {_clipped(value)}")


def _enum_number(place: str, enum: EnumDescriptor, value: str) -> int:
    names = {each.name.removeprefix(prefix_of(enum)): each.number for each in enum.values if each.number}
    if value.upper() not in names:
        raise invalid(Violation(place, f"{_clipped(value)} is not one of {', '.join(names)}"))
    return int(names[value.upper()])


def _unknown(owner: str, name: object, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    return f"{owner} has no field {_clipped(name)}; " + (
        f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(known)}"
    )


def _clipped(value: object) -> str:
    text = repr(value[:80] if isinstance(value, bytes | str) else value)
    return text if len(text) <= 80 else f"{text[:79]}…"
