"""What every request must keep, whichever model it is for. Pure; lists every bad field at once.

The bounds are wide on purpose: within them a model's own range decides, and adjusts.
"""

import math
import re
from collections.abc import Iterator

from imagegate.runtime.errors import Violation
from imagegate.runtime.models import TIERS
from imagegate.runtime.options import MAX_OPTIONS, OPTIONS_FIELD
from imagegate.runtime.parameters import FITTED_FIELDS
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
KEEPABLE = (*FITTED_FIELDS, "count", OPTIONS_FIELD)
MAX_LABEL_CHARACTERS = 128
MAX_OPTION_PROVIDERS = 16
MAX_OPTIONS_BYTES = 64 * 1024
# Of all pictures together. A picture can always be made to fit into the least: small, and in few colours.
MIN_OUTPUT_BYTES = 16_384
MAX_OUTPUT_BYTES = 56_000_000
REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def violations(request: generation_pb2.GenerateRequest, *, needs_prompt: bool = True) -> list[Violation]:
    """Every bad field of `request`; empty where it is valid. Without `needs_prompt` its prompt may be empty."""
    no_prompt = (
        [Violation("prompt", "is empty; say what to draw")] if needs_prompt and not request.prompt.strip() else []
    )
    return [*no_prompt, *_texts(request), *_numbers(request), *_choices(request), *_output(request), *_options(request)]


def _texts(request: generation_pb2.GenerateRequest) -> Iterator[Violation]:
    for name in ("prompt", "negative_prompt"):
        length = len(getattr(request, name))
        if length > MAX_PROMPT_CHARACTERS:
            yield Violation(name, f"has {length:,} characters; at most {MAX_PROMPT_CHARACTERS:,} are allowed")
    for name in ("model", "sampler"):
        if len(getattr(request, name)) > MAX_NAME_CHARACTERS:
            yield Violation(name, f"is longer than {MAX_NAME_CHARACTERS} characters")
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
