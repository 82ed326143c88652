"""What goes to a model besides words, as a provider gets it: pictures that are checked and clean, LoRAs. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from io import BytesIO

from PIL import Image

from imagegate.runtime import images
from imagegate.runtime.errors import Violation, invalid_request
from imagegate.runtime.models import Task
from imagegate.runtime.tasks import TEXT_TO_IMAGE, FittedControl, FittedInputs, FittedLora, pictures
from imagegate.v1 import generation_pb2

FORMATS = ("PNG", "JPEG", "WEBP")


@dataclass(frozen=True, slots=True)
class InputPicture:
    """One whole PNG, JPEG or WEBP, upright and without anything that came along with it; sizes are pixels."""

    data: bytes
    mime_type: str
    width: int
    height: int

    def __repr__(self) -> str:
        return f"<InputPicture {self.mime_type} {self.width}x{self.height} {len(self.data):,} bytes>"


@dataclass(frozen=True, slots=True)
class Control:
    """A picture that the new one keeps to, and how."""

    picture: InputPicture
    fitted: FittedControl


@dataclass(frozen=True, slots=True)
class Identity:
    """A picture of the person who shall be in the new one; `strength` None leaves that to the upstream."""

    picture: InputPicture
    strength: float | None = None


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a request brings along; `task` is what is done with `image`, text_to_image where there is none."""

    task: Task = TEXT_TO_IMAGE
    image: InputPicture | None = None
    mask: InputPicture | None = None
    controls: Sequence[Control] = ()
    identity: Sequence[Identity] = ()
    loras: Sequence[FittedLora] = ()
    # Of a pose extraction.
    detect_hands: bool = True
    detect_face: bool = True


def to_inputs(request: generation_pb2.GenerateRequest, fitted: FittedInputs) -> Inputs:
    """The inputs of a request whose pictures lie in it as data.

    Raises Failure(INVALID_REQUEST) naming each that is none; one that has come in through an `entrance` always is.
    """
    task = request.WhichOneof("task")
    seen = _seen(request)
    extraction = request.pose_extraction
    return Inputs(
        task=task or TEXT_TO_IMAGE,
        image=seen.get(f"{task}.image"),
        mask=seen.get(f"{task}.mask"),
        controls=[Control(seen[f"controls[{n}].image"], how) for n, how in enumerate(fitted.controls)],
        identity=[Identity(seen[f"identity[{n}].image"], how) for n, how in enumerate(fitted.identity)],
        loras=fitted.loras,
        detect_hands=not extraction.HasField("detect_hands") or extraction.detect_hands,
        detect_face=not extraction.HasField("detect_face") or extraction.detect_face,
    )


def in_short(inputs: Inputs) -> Mapping[str, object]:
    """What goes along, as a log tells it: of pictures their sizes; empty where nothing goes along."""
    told = {
        "task": inputs.task if inputs.task != TEXT_TO_IMAGE else "",
        "image": _seen_as(inputs.image),
        "mask": _seen_as(inputs.mask),
        "controls": [{"image": _seen_as(each.picture), **_said(asdict(each.fitted))} for each in inputs.controls],
        "identity": [
            {"image": _seen_as(each.picture), **_said({"strength": each.strength})} for each in inputs.identity
        ],
        "loras": [_said(asdict(each)) for each in inputs.loras],
    }
    return {name: value for name, value in told.items() if value}


def size_of_image(request: generation_pb2.GenerateRequest) -> tuple[int, int] | None:
    """Width and height in pixels of the picture that another one is made from; None where there is none."""
    task = request.WhichOneof("task")
    if task not in ("image_to_image", "inpainting"):
        return None
    try:  # only its first bytes are read: this is asked for every candidate
        with Image.open(BytesIO(getattr(request, task).image.data), formats=FORMATS) as picture:
            width, height = picture.size
    except Exception:  # noqa: BLE001 -- Pillow's parsers raise whatever hostile bytes make them raise
        return None  # the entrance tells what is wrong with it
    return width, height


def _seen_as(picture: InputPicture | None) -> str:
    return f"{picture.width}x{picture.height} {picture.mime_type}" if picture is not None else ""


def _said(beside: Mapping[str, object]) -> Mapping[str, object]:
    """What is sent beside an input: not what is left to the upstream."""
    return {name: value for name, value in beside.items() if value is not None}


def _seen(request: generation_pb2.GenerateRequest) -> dict[str, InputPicture]:
    """Every picture of the request by its place."""
    seen: dict[str, InputPicture] = {}
    wrong: list[Violation] = []
    for place, image in pictures(request):
        data = image.data
        try:
            found = images.inspect(data)
        except images.NotAPicture as error:
            wrong.append(Violation(place, f"is {error.what}; expected one whole PNG, JPEG or WEBP"))
        else:
            seen[place] = InputPicture(data, found.mime_type, found.width, found.height)
    if wrong:
        raise invalid_request(wrong)
    return seen
