"""What every request must keep, whichever model it is for. Pure; lists every bad field at once.

The bounds are wide on purpose: within them a model's own range decides, and adjusts.
"""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from imagegate.runtime.errors import Violation
from imagegate.runtime.models import TIERS
from imagegate.runtime.options import MAX_OPTIONS, OPTIONS_FIELD
from imagegate.runtime.parameters import FITTED_FIELDS
from imagegate.runtime.tasks import CONTROLS, pictures
from imagegate.v1 import generation_pb2, terms_pb2

MAX_PROMPT_CHARACTERS = 32_000
MAX_NAME_CHARACTERS = 256
# The request fields with a range: name -> (smallest, largest, unit).
RANGES = {
    "width": (64, 4096, "px"),
    "height": (64, 4096, "px"),
    "steps": (1, 150, ""),
    "guidance_scale": (0, 50, ""),
    "seed": (-1, 2**63 - 1, ""),
    "count": (1, 8, ""),
}
# Of these fields nothing depends on what another one says, nor anything of the others on them.
WORDS = ("prompt", "request_id", "idempotency_key", "user", "project")
KEEPABLE = (*FITTED_FIELDS, "count", OPTIONS_FIELD, "controls", "identity", "loras")
# The most of each that a request brings along; of all pictures together these many bytes.
MOST = {"controls": 4, "identity": 4, "loras": 8}
MAX_INPUT_BYTES = 24 * 1024 * 1024
MAX_URI_CHARACTERS = 2048
# What belongs to an input: its field -> (smallest, largest).
INPUT_RANGES: Mapping[str, tuple[float, float]] = {
    "strength": (0, 1),
    "mask_blur": (0, 64),
    "conditioning_scale": (0, 2),
    "start": (0, 1),
    "end": (0, 1),
    "weight": (-4, 4),
}
MAX_LABEL_CHARACTERS = 128
MAX_OPTION_PROVIDERS = 16
MAX_OPTIONS_BYTES = 64 * 1024
# Of all pictures together. A picture can always be made to fit into the least: small, and in few colours.
MIN_OUTPUT_BYTES = 16_384
MAX_OUTPUT_BYTES = 56_000_000
REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def violations(request: generation_pb2.GenerateRequest, *, needs_prompt: bool = True) -> list[Violation]:
    """Every bad field of `request`; empty where it is valid. Without `needs_prompt` its prompt may be empty."""
    return [*violations_of_words(request, needs_prompt=needs_prompt), *violations_of_shape(request)]


def violations_of_words(request: generation_pb2.GenerateRequest, *, needs_prompt: bool = True) -> list[Violation]:
    """What is wrong with `WORDS`, which differ from request to request."""
    is_asked = needs_prompt and not request.prompt.strip() and not request.HasField("pose_extraction")
    no_prompt = [Violation("prompt", "is empty; say what to draw")] if is_asked else []
    return [*no_prompt, *_words(request)]


def violations_of_shape(request: generation_pb2.GenerateRequest) -> list[Violation]:
    """What is wrong with all else, which many requests have in common."""
    rules = (_texts, _numbers, _choices, _output, _options, _inputs, _pictures)
    return [violation for rule in rules for violation in rule(request)]


def _too_long(name: str, length: int) -> Violation:
    return Violation(name, f"has {length:,} characters; at most {MAX_PROMPT_CHARACTERS:,} are allowed")


def _texts(request: generation_pb2.GenerateRequest) -> Iterator[Violation]:
    if (length := len(request.negative_prompt)) > MAX_PROMPT_CHARACTERS:
        yield _too_long("negative_prompt", length)
    for name in ("model", "sampler"):
        if len(getattr(request, name)) > MAX_NAME_CHARACTERS:
            yield Violation(name, f"is longer than {MAX_NAME_CHARACTERS} characters")


def _words(request: generation_pb2.GenerateRequest) -> Iterator[Violation]:
    if (length := len(request.prompt)) > MAX_PROMPT_CHARACTERS:
        yield _too_long("prompt", length)
    for name in ("user", "project"):
        if len(getattr(request, name)) > MAX_LABEL_CHARACTERS:
            yield Violation(name, f"is longer than {MAX_LABEL_CHARACTERS} characters")
    if request.request_id and not REQUEST_ID.fullmatch(request.request_id):
        yield Violation("request_id", "takes up to 128 of A-Z a-z 0-9 . _ : -")
    if request.idempotency_key and not REQUEST_ID.fullmatch(request.idempotency_key):
        yield Violation("idempotency_key", "takes up to 128 of A-Z a-z 0-9 . _ : -")


def _numbers(request: generation_pb2.GenerateRequest) -> Iterator[Violation]:
    for name, (low, high, unit) in RANGES.items():
        if not request.HasField(name):  # type: ignore[arg-type]
            continue
        value = getattr(request, name)
        if math.isnan(value) or not low <= value <= high:
            limits = f"{low} to {high}" if high < 2**31 else f"{low} (random) or more"
            shown = f"{value:g}" if isinstance(value, float) else f"{value}"
            yield Violation(name, f"is {shown}; allowed is {limits}{f' {unit}' if unit else ''}")


def _choices(request: generation_pb2.GenerateRequest) -> Iterator[Violation]:
    if request.on_unsupported not in generation_pb2.OnUnsupported.values():
        yield Violation("on_unsupported", "takes ADJUST or REFUSE")
    if request.quality not in terms_pb2.Quality.values():
        yield Violation("quality", "takes SD, HD, ULTRA or PREMIUM")
    if request.routing.tier not in ("", *TIERS):
        yield Violation("routing.tier", f"takes {', '.join(TIERS)}, or nothing for no limit")
    if request.routing.max_credits < 0:
        yield Violation("routing.max_credits", "is below 0")
    unknown = [name for name in dict.fromkeys(request.must_keep) if name not in KEEPABLE]
    if unknown:
        listed = ", ".join(repr(name[:32]) for name in unknown[:3])
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        yield Violation("must_keep", f"has {listed}{more}; it takes {', '.join(KEEPABLE)}")


def _output(request: generation_pb2.GenerateRequest) -> Iterator[Violation]:
    if request.output.format not in generation_pb2.Format.values():
        yield Violation("output.format", "takes PNG, JPEG or WEBP")
    if request.output.delivery not in generation_pb2.Delivery.values():
        yield Violation("output.delivery", "takes INLINE or NONE")
    least = MIN_OUTPUT_BYTES * min(max(request.count, 1), RANGES["count"][1])
    if request.output.HasField("max_bytes") and not least <= request.output.max_bytes <= MAX_OUTPUT_BYTES:
        pictures = f" for {request.count} pictures" if request.count > 1 else ""
        limits = f"{least:,} to {MAX_OUTPUT_BYTES:,}"
        yield Violation("output.max_bytes", f"is {request.output.max_bytes:,}; allowed is {limits}{pictures}")


def _options(request: generation_pb2.GenerateRequest) -> Iterator[Violation]:
    if len(request.provider_options) > MAX_OPTION_PROVIDERS:
        yield Violation(OPTIONS_FIELD, f"names more than {MAX_OPTION_PROVIDERS} providers")
    elif sum(options.ByteSize() for options in request.provider_options.values()) > MAX_OPTIONS_BYTES:
        yield Violation(OPTIONS_FIELD, f"has more than {MAX_OPTIONS_BYTES // 1024} KiB")
    elif any(len(options.fields) > MAX_OPTIONS for options in request.provider_options.values()):
        yield Violation(OPTIONS_FIELD, f"has more than {MAX_OPTIONS} options for one provider")


def _inputs(request: generation_pb2.GenerateRequest) -> Iterator[Violation]:
    """What is said beside each input."""
    for name, most in MOST.items():
        if len(getattr(request, name)) > most:
            yield Violation(name, f"has {len(getattr(request, name))}; at most {most} are allowed")
    task = request.WhichOneof("task")
    if task:
        yield from _ranges(task, getattr(request, task))
    for n, control in enumerate(request.controls[: MOST["controls"]]):
        if control.type not in CONTROLS:
            yield Violation(f"controls[{n}].type", "takes OPENPOSE, CANNY, DEPTH or BLUR")
        yield from _ranges(f"controls[{n}]", control)
        if control.HasField("start") and control.HasField("end") and control.start > control.end:
            yield Violation(f"controls[{n}].start", "is above end")
    for n, each in enumerate(request.identity[: MOST["identity"]]):
        yield from _ranges(f"identity[{n}]", each)
    for n, lora in enumerate(request.loras[: MOST["loras"]]):
        if not lora.name.strip() or len(lora.name) > MAX_NAME_CHARACTERS or not lora.name.isprintable():
            yield Violation(f"loras[{n}].name", f"takes 1 to {MAX_NAME_CHARACTERS} printable characters")
        yield from _ranges(f"loras[{n}]", lora)


def _ranges(place: str, part: Any) -> Iterator[Violation]:
    for name, (low, high) in INPUT_RANGES.items():
        if name in part.DESCRIPTOR.fields_by_name and part.HasField(name):
            value = getattr(part, name)
            if math.isnan(value) or not low <= value <= high:
                yield Violation(f"{place}.{name}", f"is {value:g}; allowed is {low:g} to {high:g}")


def _pictures(request: generation_pb2.GenerateRequest) -> Iterator[Violation]:
    """Where each picture is said to be; whether it is one is seen when it is looked at (`entrance`)."""
    size = 0
    for place, image in pictures(request):
        size += len(image.data)
        source = image.WhichOneof("source")
        if source is None or not getattr(image, source):
            yield Violation(place, "has no picture: give data, template or uri")
        elif source != "data" and len(getattr(image, source)) > MAX_URI_CHARACTERS:
            yield Violation(place, f"has a {source} of more than {MAX_URI_CHARACTERS:,} characters")
    if size > MAX_INPUT_BYTES:
        limit = MAX_INPUT_BYTES // 1024**2
        yield Violation("task", f"all pictures together have {size:,} bytes; at most {limit} MiB are allowed")
