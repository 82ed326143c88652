"""What an order brings along besides words, in fal's fields: pictures, controls, people and LoRAs. Pure."""

import io
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass

from imagegate.providers.fal.dialects import dialect_of, takes_size
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.inputs import Control, Identity, InputPicture
from imagegate.runtime.order import Order
from imagegate.runtime.pricing import price
from imagegate.runtime.redaction import clip
from imagegate.runtime.sizing import SIDES
from imagegate.runtime.tasks import POSE_EXTRACTION, FittedLora
from imagegate.v1 import generation_pb2

# fal would fetch a LoRA from any address. A caller names a repository of the Hub, or a file in one, and nothing else.
_PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
HUB_LORA = re.compile(rf"(?P<repository>{_PART}/{_PART})(?:/(?P<file>(?:{_PART}/)*{_PART}\.safetensors))?")
HUB_FILE_URL = "https://huggingface.co/{repository}/resolve/main/{file}"

# PhotoMaker looks for the person where the prompt says `img`, after the word for what they are.
TRIGGER = re.compile(r"\bimg\b", re.IGNORECASE)
WHAT_THEY_ARE = re.compile(r"\b(?:man|woman|boy|girl|person|child|baby|guy|lady|gentleman)\b", re.IGNORECASE)

EXTENSIONS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}
ARCHIVE_TYPE = "application/zip"


@dataclass(frozen=True, slots=True)
class File:
    """A file that fal is to work with."""

    name: str
    mime_type: str
    data: bytes

    def __repr__(self) -> str:
        return f"<File {self.name} {len(self.data):,} bytes>"


def fit(order: Order) -> None:
    """Change in the order, before anything is sent, what only this module knows cannot be sent as it is.

    Raises Failure(UNSUPPORTED) where that is forbidden, or where no change would do.
    """
    dialect, inputs = dialect_of(order.model), order.inputs
    for lora in inputs.loras:
        _lora_path(lora)
    if not takes_size(order) and inputs.image is not None and dialect.takes_size:
        _keep_size(order, inputs.image)
    least, steps = dialect.least_steps.get(inputs.task), order.parameters.get("steps")
    if least is not None and isinstance(steps, int) and steps < least:
        why = f"the model takes {least} steps or more where it begins with a picture"
        order.change("steps", least, generation_pb2.ACTION_CLAMPED, why)
    _agree_on_scale(order, inputs.controls)
    if dialect.wants_trigger and not TRIGGER.search(order.prompt):
        why = "the model finds the person where the prompt says img after what they are, as in: a man img"
        order.adjust("prompt", "without img", "with img", generation_pb2.ACTION_TRANSLATED, why)
    if inputs.task == POSE_EXTRACTION and inputs.detect_hands != inputs.detect_face:
        left_out = "detect_face" if inputs.detect_hands else "detect_hands"
        why = "the model draws both hands and face, or neither"
        order.adjust(f"{POSE_EXTRACTION}.{left_out}", "false", "true", generation_pb2.ACTION_TRANSLATED, why)


def prompt_of(order: Order) -> str:
    """The prompt as the model understands it."""
    prompt = order.prompt
    if not dialect_of(order.model).wants_trigger or TRIGGER.search(prompt):
        return prompt
    found = WHAT_THEY_ARE.search(prompt)
    return f"{prompt[: found.end()]} img{prompt[found.end() :]}" if found else f"a person img, {prompt}"


def fields_of(order: Order) -> dict[str, object]:
    """What is said beside the pictures. The order must be fitted."""
    inputs = order.inputs
    fields: dict[str, object] = {}
    if "strength" in order.parameters:
        fields["strength"] = order.parameters["strength"]
    for control in inputs.controls:
        # fal would take every control for a photo, and look for the pose in a drawing of one.
        fields[f"{control.fitted.kind}_preprocess"] = control.fitted.preprocess
    if inputs.controls and inputs.controls[0].fitted.scale is not None:
        fields["controlnet_conditioning_scale"] = inputs.controls[0].fitted.scale
    if inputs.loras:
        fields["loras"] = [_lora(lora) for lora in inputs.loras]
    if inputs.task == POSE_EXTRACTION:
        fields["draw_mode"] = "full-pose" if inputs.detect_hands or inputs.detect_face else "body-pose"
    return fields


def files_of(order: Order) -> dict[str, File]:
    """The files that the order brings along, by the fields that take their addresses.

    The pictures of a person become one archive, up to 24 MiB: call it in a thread where there are any.
    """
    inputs = order.inputs
    files: dict[str, File] = {}
    if inputs.image is not None:
        files["image_url"] = _file("image", inputs.image)
    if inputs.mask is not None:
        files["mask_url"] = _file("mask", inputs.mask)
    for control in inputs.controls:
        files[f"{control.fitted.kind}_image_url"] = _file(control.fitted.kind, control.picture)
    if inputs.identity:
        files["image_archive_url"] = File("person.zip", ARCHIVE_TYPE, _archive(inputs.identity))
    return files


def _keep_size(order: Order, image: InputPicture) -> None:
    """Leave the size to fal, who keeps the picture's own; whoever asked for that very one gets what was asked for.

    Raises Failure(UNSUPPORTED) where that is larger, by price, than what was fitted: nobody pays more than he was told.
    """
    own = dict(zip(SIDES, (image.width, image.height), strict=True))
    cost, told = (price(order.model, size, 1) for size in (own, order.fitted))
    if cost is not None and told is not None and cost > told:
        size = f"{image.width}x{image.height}"
        raise _unsupported(f"the model keeps the size of the picture, {size}, which costs more than what was fitted")
    for side in SIDES:
        asked = order.parameters.get(side)
        if asked is not None and not (side in order.asked and asked == own[side]):
            why = "the model keeps the size of the picture that it begins with"
            order.change(side, None, generation_pb2.ACTION_DROPPED, why)


def _agree_on_scale(order: Order, controls: Sequence[Control]) -> None:
    """The app takes one picture of each kind, and one scale for all: the first one's. Raises Failure(UNSUPPORTED)."""
    kinds = [control.fitted.kind for control in controls]
    if len(set(kinds)) < len(kinds):
        raise _unsupported(f"{order.model.display_name} takes one control of each kind")
    for n, control in enumerate(controls[1:], start=1):
        scale, first = control.fitted.scale, controls[0].fitted.scale
        if scale is not None and first is not None and scale != first:
            why = "the model takes one scale for all controls: the first one's"
            name = f"controls[{n}].conditioning_scale"
            order.adjust(name, scale, first, generation_pb2.ACTION_TRANSLATED, why)


def _lora(lora: FittedLora) -> dict[str, object]:
    said: dict[str, object] = {"path": _lora_path(lora)}
    return said if lora.weight is None else {**said, "scale": lora.weight}


def _lora_path(lora: FittedLora) -> str:
    """What fal knows a LoRA by. Raises Failure(UNSUPPORTED) for what is no name on the Hub."""
    found = HUB_LORA.fullmatch(lora.name)
    if found is None:
        what = "takes a LoRA by its name on the Hugging Face Hub: owner/name, or owner/name/file.safetensors"
        raise _unsupported(f"fal {what}; it got {clip(lora.name, 128)!r}")
    return HUB_FILE_URL.format(**found.groupdict()) if found["file"] else lora.name


def _file(name: str, picture: InputPicture) -> File:
    return File(f"{name}.{EXTENSIONS[picture.mime_type]}", picture.mime_type, picture.data)


def _archive(identity: Sequence[Identity]) -> bytes:
    """The pictures of a person in one zip, the same bytes every time; they are compressed already."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as zipped:
        for number, each in enumerate(identity, start=1):
            picture = _file(str(number), each.picture)
            zipped.writestr(zipfile.ZipInfo(picture.name), picture.data)
    return archive.getvalue()


def _unsupported(why: str) -> Failure:
    return Failure(Reason.UNSUPPORTED, why, dispatch=Dispatch.NOT_SENT)
