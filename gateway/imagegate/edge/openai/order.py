"""What is asked in OpenAI's words as an order in ours, and what of it nobody here can keep. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imagegate.edge.generating import Order
from imagegate.edge.openai.schema import AUTO, Asked, Edit, Wrong, refused, sides
from imagegate.runtime.errors import Reason, Violation

QUALITIES = {
    "low": "SD",
    "standard": "SD",
    "medium": "HD",
    "high": "HD",
    "hd": "HD",
    "xhigh": "ULTRA",
    "max": "ULTRA",
}
# By the names of GenerateRequest, as they stand in both.
SAME = (
    "negative_prompt",
    "seed",
    "steps",
    "guidance_scale",
    "sampler",
    "project",
    "on_unsupported",
    "max_credits",
    "no_fallback",
)
OF_AN_EDIT = ("strength", "mask_blur")

# Why a parameter of theirs is left out.
UNKEPT = {
    "complexity": "no model here plans a picture",
    "input_fidelity": "how much of the picture stays is said by strength here",
    "moderation": "each upstream moderates as it does; nothing here changes that",
    "output_compression": "files are as the upstream encodes them",
    "style": "say it in the prompt",
}
# These ask for nothing that a picture without them would not have.
NEUTRAL = {"moderation": AUTO, "output_compression": 100}
# These are not about the picture, so that nobody is refused for them.
OF_NOBODYS_PICTURE = {
    "partial_images": "there are partial images in a stream only",
    "safety_identifier": "upstreams are told nothing about people",
    "user": "upstreams are told nothing about people",
}


@dataclass(frozen=True, slots=True)
class Dropped:
    """A parameter that is not kept, told in the way of an adjustment."""

    parameter: str
    requested: str
    why: str
    applied: str = ""

    def to_dict(self) -> dict[str, str]:
        """As adjustments are shown."""
        return {
            "parameter": self.parameter,
            "requested": self.requested,
            "applied": self.applied,
            "action": "DROPPED",
            "why": self.why,
        }


@dataclass(frozen=True, slots=True)
class Ordered:
    """The order, and what was asked besides."""

    order: Order
    dropped: Sequence[Dropped]


def generation(asked: Asked, idempotency_key: str = "") -> Ordered:
    """A picture from words. Raises Problem where something cannot be kept and the caller would rather be refused."""
    return _ordered(asked, idempotency_key, {}, _unkept(asked))


def edit(asked: Edit, images: Sequence[bytes], mask: bytes | None, idempotency_key: str = "") -> Ordered:
    """The first of `images` edited where `mask` is white, or everywhere. Raises Problem as `generation` does."""
    beside = {name: value for name in OF_AN_EDIT if (value := getattr(asked, name)) is not None}
    unkept = _unkept(asked)
    if mask is None and beside.pop("mask_blur", None) is not None:
        unkept.append(Dropped("mask_blur", str(asked.mask_blur), "there is no mask"))
    if len(images) > 1:
        why = "one picture is edited; what others beside it are for, no model here could be told"
        unkept.append(Dropped("image", f"{len(images)} pictures", why, applied="the first"))
    task = "inpainting" if mask is not None else "image_to_image"
    pictures = {"image": images[0]} if mask is None else {"image": images[0], "mask": mask}
    return _ordered(asked, idempotency_key, {task: {**pictures, **beside}}, unkept)


def _ordered(asked: Asked, idempotency_key: str, task: Mapping[str, Any], unkept: Sequence[Dropped]) -> Ordered:
    if unkept and asked.on_unsupported == "REFUSE":
        raise refused([_refusal(each) for each in unkept])
    fields = {name: value for name in SAME if (value := getattr(asked, name)) is not None}
    model = "" if asked.model in (None, AUTO) else asked.model or ""
    order = Order(asked.prompt, model, {**_translated(asked), **fields, **task}, idempotency_key)
    return Ordered(order, [*unkept, *_not_about_the_picture(asked)])


def _translated(asked: Asked) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if asked.n is not None:
        fields["count"] = asked.n
    if asked.size not in (None, AUTO):
        fields["width"], fields["height"] = sides(asked.size or "")
    if asked.quality in QUALITIES:
        fields["quality"] = QUALITIES[asked.quality]
    if asked.output_format is not None:
        fields["format"] = asked.output_format.upper()
    return fields


def _unkept(asked: Asked) -> list[Dropped]:
    given = {name: getattr(asked, name, None) for name in UNKEPT}
    return [
        Dropped(name, str(value), UNKEPT[name])
        for name, value in given.items()
        if value is not None and value != NEUTRAL.get(name)
    ]


def _not_about_the_picture(asked: Asked) -> list[Dropped]:
    given = {name: getattr(asked, name) for name in OF_NOBODYS_PICTURE}
    if asked.stream:
        given.pop("partial_images")
    return [Dropped(name, str(value), OF_NOBODYS_PICTURE[name]) for name, value in given.items() if value]


def _refusal(dropped: Dropped) -> Wrong:
    return str(Reason.UNSUPPORTED), Violation(dropped.parameter, f"cannot be kept: {dropped.why}")
