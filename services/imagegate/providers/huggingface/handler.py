"""What a dedicated Inference Endpoint of Hugging Face runs for us: every task that its standard container cannot do.

It stands by itself, is copied into a repository of the Hub (services/README.md tells how), and is imported by nobody
here. The container calls it with the JSON body and encodes the picture that it returns as the `Accept` header asks.

    {"inputs": {…}}, pictures in base64, everything optional but `prompt` (and without that: pose_extraction):

    task              text_to_image, control_openpose, image_to_image, inpainting, identity, pose_extraction; absent:
                      what the model is for
    prompt, negative_prompt, num_inference_steps, guidance_scale, width, height (px), seed
    image             the picture to begin with; of control_openpose the pose to keep to
    strength          0 to 1, how far the new picture may leave `image`; of image_to_image and inpainting
    mask_image        of inpainting: white is repainted; mask_blur softens it by so many px
    control_image     the pose to keep to beside an `image`
    preprocess        true: the pose is given as a photo and taken from it first
    controlnet_conditioning_scale, control_guidance_start, control_guidance_end
    input_id_images   of identity: 1 to 4 pictures of the person
    loras             [{"name": "owner/name", "weight": 0.8}, …], by their ids on the Hub
    detect_hands, detect_face   of pose_extraction

Variables of the endpoint: IMAGEGATE_MODEL, a model's id on the Hub (absent: the repository that this file lies in), and
IMAGEGATE_BASE_MODEL, what a ControlNet or PhotoMaker runs on, if it shall be another than that of KINDS.

What is wrong with a request is a ValueError. Anything else becomes a RuntimeError that begins with "the handler
failed": the container answers every exception with 400 and its text, so that only the words can tell whose fault it
was.
"""

import base64
import importlib
import inspect
import io
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from PIL import Image, ImageFilter

SDXL, SD15 = "stabilityai/stable-diffusion-xl-base-1.0", "stable-diffusion-v1-5/stable-diffusion-v1-5"
ANNOTATORS, PHOTOMAKER = "lllyasviel/Annotators", "TencentARC/PhotoMaker-V2"
# What a model is, where it is no whole pipeline, and what it runs on.
KINDS = {
    "lllyasviel/control_v11p_sd15_openpose": ("controlnet", SD15),
    "thibaud/controlnet-openpose-sdxl-1.0": ("controlnet", SDXL),
    "xinsir/controlnet-openpose-sdxl-1.0": ("controlnet", SDXL),
    PHOTOMAKER: ("photomaker", SDXL),
    ANNOTATORS: ("annotator", ""),
}
TRIGGER = "img"  # PhotoMaker's word behind the one that the person takes the place of
MAX_PIXELS = 4096 * 4096
HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9_][A-Za-z0-9._-]{0,95}")

# Numbers of a request: smallest, largest, and whether they are whole.
NUMBERS = {
    "num_inference_steps": (1, 150, True),
    "guidance_scale": (0, 50, False),
    "width": (64, 4096, True),
    "height": (64, 4096, True),
    "seed": (0, 2**64 - 1, True),
    "strength": (0, 1, False),
    "mask_blur": (0, 64, True),
    "controlnet_conditioning_scale": (0, 2, False),
    "control_guidance_start": (0, 1, False),
    "control_guidance_end": (0, 1, False),
}
TEXTS = ("prompt", "negative_prompt")
SWITCHES = ("preprocess", "detect_hands", "detect_face")
PICTURES = {"image": "RGB", "mask_image": "L", "control_image": "RGB"}
FIELDS = {"task", *TEXTS, *NUMBERS, *SWITCHES, *PICTURES, "input_id_images", "loras"}
# What goes to a pipeline under the same name, and what only one with a ControlNet takes.
PLAIN = ("prompt", "negative_prompt", "num_inference_steps", "guidance_scale")
OF_CONTROLNET = ("controlnet_conditioning_scale", "control_guidance_start", "control_guidance_end")

ModuleLoader = Callable[[str], Any]


class EndpointHandler:
    """One model, loaded when the endpoint starts. `path` is the repository; `environ` and `load` are for tests."""

    def __init__(
        self, path: str = "", environ: Mapping[str, str] = os.environ, load: ModuleLoader = importlib.import_module
    ) -> None:
        model = environ.get("IMAGEGATE_MODEL") or path
        kind, base = KINDS.get(model, ("pipeline", ""))
        self._engine = ENGINES[kind](model, environ.get("IMAGEGATE_BASE_MODEL") or base, load)

    def __call__(self, data: Mapping[str, Any]) -> Image.Image:
        """The picture for one request. Raises ValueError and RuntimeError as the module says."""
        try:
            return self._engine.make(read(data, self._engine.tasks))
        except ValueError:
            raise
        except Exception as error:
            raise RuntimeError(f"the handler failed: {type(error).__name__}: {error}") from error


# ── What a request says ──────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Request:
    """A checked request: `said` are its texts, numbers and switches by name, `pictures` by theirs."""

    task: str
    said: dict[str, Any]
    pictures: dict[str, Image.Image] = field(default_factory=dict)
    people: list[Image.Image] = field(default_factory=list)
    loras: list[tuple[str, float]] = field(default_factory=list)


def read(data: Mapping[str, Any], tasks: tuple[str, ...]) -> Request:
    """The request in a body, if it is one of `tasks`, the first where it names none. Raises ValueError."""
    inputs = data.get("inputs")
    if not isinstance(inputs, dict) or set(data) != {"inputs"}:
        raise ValueError("the body must be an object with `inputs`, an object, and nothing else")
    if unknown := sorted(inputs.keys() - FIELDS):
        raise ValueError(f"no such input: {', '.join(unknown)}")
    task = inputs.get("task", tasks[0])
    if task not in tasks:
        raise ValueError(f"this endpoint does {', '.join(tasks)}, not {task!r}")
    request = Request(task, {name: _number(name, inputs[name]) for name in NUMBERS if name in inputs})
    for kind, names in ((str, TEXTS), (bool, SWITCHES)):
        request.said |= {name: _typed(name, inputs[name], kind) for name in names if name in inputs}
    request.pictures = {name: _picture(name, inputs[name], mode) for name, mode in PICTURES.items() if name in inputs}
    people = _typed("input_id_images", inputs.get("input_id_images", []), list)
    request.people = [_picture(f"input_id_images[{n}]", each, "RGB") for n, each in enumerate(people)]
    request.loras = [_lora(n, each) for n, each in enumerate(_typed("loras", inputs.get("loras", []), list))]
    _check(request)
    return request


def _check(request: Request) -> None:
    """Raises ValueError where something is missing that the task needs, or is there that it has no use for."""
    task, given = request.task, request.pictures.keys()
    needed = {"control_openpose": {"image"}, "image_to_image": {"image"}, "inpainting": {"image", "mask_image"}}
    wants = needed.get(task, {"image"} if task == "pose_extraction" else set())
    if missing := sorted(wants - given):
        raise ValueError(f"{task} needs {' and '.join(missing)}")
    optional = {"control_image"} if task in ("image_to_image", "inpainting") else set()
    if idle := sorted(given - wants - optional):
        raise ValueError(f"{task} has no use for {' and '.join(idle)}")
    if task == "identity" and not 1 <= len(request.people) <= 4:
        raise ValueError("identity needs 1 to 4 pictures in input_id_images")
    if task != "pose_extraction" and not request.said.get("prompt"):
        raise ValueError("prompt is missing")


def _number(name: str, value: Any) -> float:
    low, high, is_whole = NUMBERS[name]
    kinds = (int,) if is_whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
        raise ValueError(f"{name} must be a {'whole ' if is_whole else ''}number from {low} to {high}")
    return value


def _typed(name: str, value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"{name} must be a {kind.__name__}")  # noqa: TRY004 - whatever is wrong with a request is one
    return value


def _lora(n: int, value: Any) -> tuple[str, float]:
    """A name and a weight. The name is an id on the Hub: neither an address nor a file of this machine is loaded."""
    if not isinstance(value, dict) or not isinstance(name := value.get("name"), str) or not HUB_ID.fullmatch(name):
        raise ValueError(f"loras[{n}] must be an object whose name is the id of a repository on the Hub")
    weight = value.get("weight", 1.0)
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not -4 <= weight <= 4:
        raise ValueError(f"loras[{n}].weight must be a number from -4 to 4")
    return name, weight


def _picture(name: str, value: Any, mode: str) -> Image.Image:
    try:
        data = base64.b64decode(_typed(name, value, str), validate=True)
    except ValueError as error:
        raise ValueError(f"{name} is not base64") from error
    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                raise ValueError(f"{name} has more than {MAX_PIXELS:,} pixels")
            return opened.convert(mode)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{name} is not a whole PNG, JPEG or WEBP") from error


# ── What makes the pictures ──────────────────────────────────────────────────────────────────────────────────────────


class Engine(Protocol):
    """A loaded model; `tasks` are what it does, first what it is for."""

    tasks: tuple[str, ...]

    def make(self, request: Request) -> Image.Image:
        """The picture for a checked request of one of its tasks. Raises ValueError for what it finds wrong itself."""


class Pipelines:
    """A pipeline of diffusers and its siblings for other tasks, which share its weights."""

    tasks: tuple[str, ...] = ("text_to_image", "image_to_image", "inpainting")

    def __init__(self, model: str, base: str, load: ModuleLoader) -> None:
        self._load = load
        self._torch, self._diffusers = load("torch"), load("diffusers")
        self._pipe = self._loaded(model, base).to(_device(self._torch))
        self._siblings: dict[tuple[str, bool], Any] = {}

    def make(self, request: Request) -> Image.Image:
        """As Engine says."""
        said, pictures = request.said, dict(request.pictures)
        size = _size(request)
        if "mask_blur" in said and "mask_image" in pictures:
            pictures["mask_image"] = pictures["mask_image"].filter(ImageFilter.GaussianBlur(said["mask_blur"]))
        if size is not None:
            pictures = {name: each.resize(size) for name, each in pictures.items()}
        has_control = "control_image" in pictures or request.task == "control_openpose"
        pipe = self._sibling(request.task, has_control)
        words = {name: said[name] for name in PLAIN if name in said} | self._controls(request, pictures, has_control)
        if "strength" in said and request.task in ("image_to_image", "inpainting"):
            words["strength"] = _strength(said)
        if size is not None and _takes_size(pipe):
            words |= {"width": size[0], "height": size[1]}
        with self._with_loras(request.loras):
            return _delivered(pipe(**words, **pictures, **_seeded(self._torch, said)))

    def _loaded(self, model: str, base: str) -> Any:
        return self._diffusers.AutoPipelineForText2Image.from_pretrained(model, torch_dtype=_dtype(self._torch))

    def _controls(self, request: Request, pictures: dict[str, Image.Image], has_control: bool) -> dict[str, Any]:
        if has_control:
            raise ValueError("this endpoint runs no ControlNet")
        return {}

    def _sibling(self, task: str, has_control: bool) -> Any:
        """The pipeline for a task; each is made once."""
        if task not in ("image_to_image", "inpainting"):
            return self._pipe
        if (task, has_control) not in self._siblings:
            d = self._diffusers
            maker = d.AutoPipelineForImage2Image if task == "image_to_image" else d.AutoPipelineForInpainting
            self._siblings[task, has_control] = maker.from_pipe(self._pipe, **self._parts(has_control))
        return self._siblings[task, has_control]

    def _parts(self, has_control: bool) -> dict[str, Any]:
        """What a sibling gets in the place of this one's own."""
        return {}

    @contextmanager
    def _with_loras(self, loras: list[tuple[str, float]]) -> Iterator[None]:
        try:
            for n, (name, _) in enumerate(loras):
                try:  # safetensors only: anybody may name a LoRA, and a pickle could run anything here
                    self._pipe.load_lora_weights(name, adapter_name=f"lora{n}", use_safetensors=True)
                except Exception as error:
                    raise ValueError(f"the LoRA {name} cannot be loaded: {error}") from error
            if loras:
                names = [f"lora{n}" for n in range(len(loras))]
                self._pipe.set_adapters(names, adapter_weights=[weight for _, weight in loras])
            yield
        finally:
            if loras:
                self._pipe.unload_lora_weights()


class ControlNet(Pipelines):
    """Pipelines with a ControlNet for poses; without one where a request has a picture and no pose."""

    tasks: tuple[str, ...] = ("control_openpose", "image_to_image", "inpainting")
    _annotator: "Annotator | None" = None

    def _loaded(self, model: str, base: str) -> Any:
        dtype = _dtype(self._torch)
        net = self._diffusers.ControlNetModel.from_pretrained(model, torch_dtype=dtype)
        return self._diffusers.AutoPipelineForText2Image.from_pretrained(base, controlnet=net, torch_dtype=dtype)

    def _parts(self, has_control: bool) -> dict[str, Any]:
        return {} if has_control else {"controlnet": None}

    def _controls(self, request: Request, pictures: dict[str, Image.Image], has_control: bool) -> dict[str, Any]:
        if not has_control:
            return {}
        place = "image" if request.task == "control_openpose" else "control_image"
        if request.said.get("preprocess"):
            if self._annotator is None:
                self._annotator = Annotator(ANNOTATORS, "", self._load)
            pictures[place] = self._annotator.pose(pictures[place])
        return {name: request.said[name] for name in OF_CONTROLNET if name in request.said}


class PhotoMaker:
    """A person from pictures, by https://github.com/TencentARC/PhotoMaker."""

    tasks: tuple[str, ...] = ("identity",)

    def __init__(self, model: str, base: str, load: ModuleLoader) -> None:
        self._torch, self._numpy, self._photomaker = load("torch"), load("numpy"), load("photomaker")
        maker = self._photomaker.PhotoMakerStableDiffusionXLPipeline
        self._pipe = maker.from_pretrained(base, torch_dtype=_dtype(self._torch)).to(_device(self._torch))
        self._pipe.load_photomaker_adapter(
            model, weight_name="photomaker-v2.bin", trigger_word=TRIGGER, pm_version="v2"
        )
        self._pipe.fuse_lora()
        providers = ["CUDAExecutionProvider", "CPUExecutionProvider"]
        modules = ["detection", "recognition"]
        self._faces = self._photomaker.FaceAnalysis2(providers=providers, allowed_modules=modules)
        self._faces.prepare(ctx_id=0, det_size=(640, 640))

    def make(self, request: Request) -> Image.Image:
        """As Engine says. A prompt without the trigger word gets one: PhotoMaker takes exactly one."""
        if request.loras:
            raise ValueError("this endpoint takes no LoRAs")
        said = request.said
        words = {name: said[name] for name in (*PLAIN, "width", "height") if name in said}
        words["prompt"] = with_trigger(said["prompt"])
        words["id_embeds"] = self._torch.stack([self._embedded(n, each) for n, each in enumerate(request.people)])
        return _delivered(self._pipe(**words, input_id_images=request.people, **_seeded(self._torch, said)))

    def _embedded(self, n: int, picture: Image.Image) -> Any:
        pixels = self._numpy.array(picture)[:, :, ::-1]  # the detector reads blue first
        faces = self._photomaker.analyze_faces(self._faces, pixels)
        if not len(faces):
            raise ValueError(f"input_id_images[{n}] shows no face")
        return self._torch.from_numpy(faces[0]["embedding"])


class Annotator:
    """The pose of whoever is in a picture, by https://github.com/huggingface/controlnet_aux."""

    tasks: tuple[str, ...] = ("pose_extraction",)

    def __init__(self, model: str, base: str, load: ModuleLoader) -> None:
        detector = load("controlnet_aux").OpenposeDetector
        self._detector = detector.from_pretrained(model).to(_device(load("torch")))

    def make(self, request: Request) -> Image.Image:
        """As Engine says; of the size of the photo."""
        hands, face = (request.said.get(name, True) for name in ("detect_hands", "detect_face"))
        return self.pose(request.pictures["image"], hands=hands, face=face)

    def pose(self, photo: Image.Image, *, hands: bool = True, face: bool = True) -> Image.Image:
        """The pose on black, of the size of the photo."""
        drawn: Image.Image = self._detector(
            photo, image_resolution=min(photo.size), include_hand=hands, include_face=face, output_type="pil"
        )
        return drawn.resize(photo.size)


ENGINES: Mapping[str, Callable[[str, str, ModuleLoader], Engine]] = {
    "pipeline": Pipelines,
    "controlnet": ControlNet,
    "photomaker": PhotoMaker,
    "annotator": Annotator,
}


def with_trigger(prompt: str) -> str:
    """The prompt with PhotoMaker's trigger word in it once. Raises ValueError where it is there several times."""
    found = re.findall(rf"\b{TRIGGER}\b", prompt)
    if len(found) > 1:
        raise ValueError(f"the prompt holds PhotoMaker's trigger word {TRIGGER!r} more than once")
    return prompt if found else f"a photo of a person {TRIGGER}, {prompt}"


def _size(request: Request) -> tuple[int, int] | None:
    """Width and height in px: as asked for, else of the picture to begin with, in the steps of 8 that models make."""
    said, image = request.said, request.pictures.get("image")
    if "width" in said and "height" in said:
        return said["width"], said["height"]
    if image is None:
        return None
    return max(image.width // 8 * 8, 64), max(image.height // 8 * 8, 64)


def _strength(said: Mapping[str, Any]) -> float:
    strength, steps = float(said["strength"]), said.get("num_inference_steps", 50)
    if int(steps * strength) < 1:
        raise ValueError(f"a strength of {strength:g} leaves none of {steps} steps to make")
    return strength


def _takes_size(pipe: Any) -> bool:
    """Whether a pipeline wants to be told; that of image to image reads it off the picture, but for FLUX's."""
    signature = inspect.signature(pipe.__call__)
    return {"width", "height"} <= signature.parameters.keys()


def _seeded(torch: Any, said: Mapping[str, Any]) -> dict[str, Any]:
    """On the processor, so that a seed means the same on every machine."""
    return {"generator": torch.Generator("cpu").manual_seed(said["seed"])} if "seed" in said else {}


def _delivered(output: Any) -> Image.Image:
    if any(getattr(output, "nsfw_content_detected", None) or ()):
        raise ValueError("the safety checker found NSFW content in the picture")
    picture: Image.Image = output.images[0]
    return picture


def _device(torch: Any) -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _dtype(torch: Any) -> Any:
    if not torch.cuda.is_available():
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
