"""What `generate` and `explain` take besides words: pictures to begin with, masks, controls, people, LoRAs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from imagegate.client.fields import TEMPLATE, GenerateFields
from imagegate.runtime.validation import MAX_INPUT_BYTES

# What a control keeps to, as people call it.
CONTROLS: Mapping[str, str] = {
    "pose": "OPENPOSE",
    "openpose": "OPENPOSE",
    "canny": "CANNY",
    "depth": "DEPTH",
    "blur": "BLUR",
}


@dataclass(frozen=True, slots=True)
class InputOptions:
    """What a request brings along, as it is typed; each field is an option of the command line.

    A FILE may also be `template:NAME`, a pose by its name, or an https:// address.
    """

    image: Annotated[str, typer.Option(metavar="FILE", help="Make another picture from this one.")] = ""
    strength: Annotated[float | None, typer.Option(help="How much of --image may change, 0 to 1.")] = None
    mask: Annotated[
        str, typer.Option(metavar="FILE", help="Make anew what is white here; the rest of --image stays.")
    ] = ""
    mask_blur: Annotated[int | None, typer.Option(help="Pixels over which the mask's edge fades, 0 to 64.")] = None
    control: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TYPE=FILE",
            help="Keep to a pose, canny (edges), depth or blur; pose=template:NAME takes a pose by name; repeatable.",
        ),
    ] = None
    control_scale: Annotated[float | None, typer.Option(help="How closely each --control is kept to, 0 to 2.")] = None
    preprocess: Annotated[
        bool, typer.Option("--preprocess", help="Each --control is a photo: find the pose, edges or distances in it.")
    ] = False
    identity: Annotated[
        list[str] | None, typer.Option(metavar="FILE", help="The person who shall be in it; repeatable.")
    ] = None
    lora: Annotated[
        list[str] | None, typer.Option(metavar="NAME[=WEIGHT]", help="By the upstream's own name; repeatable.")
    ] = None
    extract_pose: Annotated[
        str, typer.Option(metavar="FILE", help="Draw the pose of whoever is in this picture; needs no prompt.")
    ] = ""

    def fields(self) -> GenerateFields:
        """What the SDK takes. Raises typer.BadParameter for what does not go together and for unreadable files."""
        if problems := "; ".join(self._contradictions()):
            raise typer.BadParameter(problems)
        fields = GenerateFields(
            controls=[self._control(each) for each in self.control or ()],
            identity=[{"image": _picture(each, "--identity")} for each in self.identity or ()],
            loras=[lora_of(each) for each in self.lora or ()],
        )
        if self.mask:
            image = _picture(self.image, "--image")
            mask = _picture(self.mask, "--mask")
            fields["inpainting"] = {
                "image": image, "mask": mask, "strength": self.strength, "mask_blur": self.mask_blur
            }  # fmt: skip
        elif self.image:
            fields["image_to_image"] = {"image": _picture(self.image, "--image"), "strength": self.strength}
        elif self.extract_pose:
            fields["pose_extraction"] = {"image": _picture(self.extract_pose, "--extract-pose")}
        return fields

    def _contradictions(self) -> Iterator[str]:
        """Options that mean nothing without another one, or beside it."""
        if self.mask and not self.image:
            yield "--mask needs --image, the picture that it belongs to"
        if self.strength is not None and not self.image:
            yield "--strength needs --image"
        if self.mask_blur is not None and not self.mask:
            yield "--mask-blur needs --mask"
        if self.control_scale is not None and not self.control:
            yield "--control-scale needs --control"
        if self.preprocess and not self.control:
            yield "--preprocess needs --control"
        if self.image and self.extract_pose:
            yield "--extract-pose cannot go together with --image"

    def _control(self, given: str) -> dict[str, Any]:
        kind, equals, file = given.partition("=")
        if not (equals and file and kind.lower() in CONTROLS):
            told = f"{given[:200]!r} is not TYPE=FILE with a TYPE of {', '.join(CONTROLS)}"
            raise typer.BadParameter(told, param_hint="--control")
        return {
            "type": CONTROLS[kind.lower()],
            "image": _picture(file, "--control"),
            "conditioning_scale": self.control_scale,
            "preprocess": self.preprocess,
        }


def lora_of(given: str) -> dict[str, Any]:
    """`style=0.8` as the SDK takes it; what follows the last `=` is a weight only where it is a number."""
    name, equals, weight = given.rpartition("=")
    try:
        return {"name": name, "weight": float(weight)} if equals else {"name": given}
    except ValueError:
        return {"name": given}


def picture_of(given: str, folder: Path | None = None) -> bytes | str:
    """What the SDK takes for a picture: `template:NAME` and https:// addresses as they are, else the content of a file.

    The file's path is relative to `folder`. Raises ValueError, in words for people, where it cannot be read or is too
    large.
    """
    if given.startswith((TEMPLATE, "https://")):
        return given
    try:
        file = (folder or Path()) / Path(given).expanduser()
        with file.open("rb") as opened:
            data = opened.read(MAX_INPUT_BYTES + 1)
    except (OSError, ValueError, RuntimeError) as error:  # the last two: names that no file can have
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise ValueError(f"{given[:200]!r} cannot be read ({why})") from error
    if not data:
        raise ValueError(f"{given[:200]!r} is empty")
    if len(data) > MAX_INPUT_BYTES:
        raise ValueError(f"{given[:200]!r} has more than {MAX_INPUT_BYTES // 1024**2} MiB")
    return data


def _picture(given: str, option: str) -> bytes | str:
    try:
        return picture_of(given)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error
