"""What a dedicated endpoint runs for us, with stand-ins for the libraries that only such an endpoint has."""

import base64
import io
from types import SimpleNamespace

import pytest
from PIL import Image

from imagegate.providers.huggingface.handler import KINDS, EndpointHandler, with_trigger
from imagegate.sandbox import huggingface_handler as stand_in
from imagegate.sandbox.call import RefusedError

SDXL = "stabilityai/stable-diffusion-xl-base-1.0"
OPENPOSE = "xinsir/controlnet-openpose-sdxl-1.0"
MADE = Image.new("RGB", (8, 8), "red")


def encoded(width=64, height=64, colour="white", format="PNG"):
    data = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(data, format)
    return base64.b64encode(data.getvalue()).decode()


class Libraries:
    """Modules as far as the handler uses them, and the record of what was done with them."""

    def __init__(self, *, flagged=False, faces=1, broken=None, sized=False):
        self.calls, self.loaded, self.loras = [], [], []
        self.flagged, self.faces, self.broken = flagged, faces, broken
        self.pipeline = SizedPipeline if sized else Pipeline

    def load(self, name):
        return getattr(self, f"_{name}")()

    def _torch(self):
        cuda = SimpleNamespace(is_available=lambda: False)
        generator = SimpleNamespace(manual_seed=lambda seed: f"seed {seed}")
        return SimpleNamespace(
            cuda=cuda, float32="float32", Generator=lambda device: generator, stack=list, from_numpy=lambda each: each
        )

    def _numpy(self):
        class Pixels:
            def __getitem__(self, _):
                return self

        return SimpleNamespace(array=lambda _: Pixels())

    def _diffusers(self):
        def from_pretrained(model, **parts):
            self.loaded.append((model, {name: part for name, part in parts.items() if name != "torch_dtype"}))
            return Pipeline(self, "text")

        def sibling(kind):
            return SimpleNamespace(from_pipe=lambda _, **parts: self.pipeline(self, kind, parts))

        def net(model, **_):
            return f"net {model}"

        return SimpleNamespace(
            AutoPipelineForText2Image=SimpleNamespace(from_pretrained=from_pretrained),
            AutoPipelineForImage2Image=sibling("image"),
            AutoPipelineForInpainting=sibling("paint"),
            ControlNetModel=SimpleNamespace(from_pretrained=net),
        )

    def _photomaker(self):
        def from_pretrained(model, **_):
            self.loaded.append((model, {}))
            return Pipeline(self, "person")

        detector = SimpleNamespace(prepare=lambda **_: None)
        return SimpleNamespace(
            PhotoMakerStableDiffusionXLPipeline=SimpleNamespace(from_pretrained=from_pretrained),
            FaceAnalysis2=lambda **_: detector,
            analyze_faces=lambda *_: [{"embedding": "face"}] * self.faces,
        )

    def _controlnet_aux(self):
        def detect(photo, **how):
            self.calls.append(("pose", {"size": photo.size, **how}))
            return Image.new("RGB", (64, 64))

        detect_on = SimpleNamespace(to=lambda _: detect)
        return SimpleNamespace(OpenposeDetector=SimpleNamespace(from_pretrained=lambda _: detect_on))


class Pipeline:
    """A pipeline of the given kind, which reads the size off its picture."""

    def __init__(self, libraries, kind, parts=None):
        self.libraries, self.kind, self.parts = libraries, kind, parts or {}

    def to(self, _device):
        return self

    def __call__(self, **words):
        if self.libraries.broken is not None:
            raise self.libraries.broken
        self.libraries.calls.append((self.kind, {**words, **self.parts}))
        return SimpleNamespace(images=[MADE], nsfw_content_detected=[self.libraries.flagged])

    def load_photomaker_adapter(self, model, **how):
        self.libraries.loaded.append((model, how))

    def fuse_lora(self):
        pass

    def load_lora_weights(self, name, *, adapter_name, use_safetensors):
        assert use_safetensors
        if name == "nobody/nothing":
            raise OSError("404")
        self.libraries.loras.append((name, adapter_name))

    def set_adapters(self, names, *, adapter_weights):
        self.libraries.loras.append((names, adapter_weights))

    def unload_lora_weights(self):
        self.libraries.loras.append("unloaded")


class SizedPipeline(Pipeline):
    """One that is told the size."""

    def __call__(self, width=None, height=None, **words):
        return super().__call__(width=width, height=height, **words)


def an_endpoint(model=SDXL, libraries=None, **environ):
    libraries = libraries or Libraries()
    handler = EndpointHandler("/repository", {"IMAGEGATE_MODEL": model, **environ}, libraries.load)
    return handler, libraries


def ask(handler, **inputs):
    return handler({"inputs": {"prompt": "a fox", **inputs}})


def test_words_become_a_picture():
    """U6, R1: the request's words go to the pipeline under its own names, the seed as a generator, and nothing else."""
    handler, libraries = an_endpoint()
    made = ask(handler, negative_prompt="cats", num_inference_steps=20, guidance_scale=0, seed=7)
    assert made is MADE
    assert libraries.calls == [
        (
            "text",
            {
                "prompt": "a fox",
                "negative_prompt": "cats",
                "num_inference_steps": 20,
                "guidance_scale": 0,
                "generator": "seed 7",
            },
        )
    ]


def test_a_repository_of_ones_own_is_a_whole_pipeline():
    """U6: without a variable the handler runs the model beside which it lies."""
    libraries = Libraries()
    EndpointHandler("/repository", {}, libraries.load)
    assert libraries.loaded == [("/repository", {})]


@pytest.mark.parametrize("model", [model for model, (kind, _) in KINDS.items() if kind == "controlnet"])
def test_a_controlnet_runs_on_its_base(model):
    """U1, U6: the models of our catalogue need no second variable, and any other base can be named."""
    _, libraries = an_endpoint(model)
    assert libraries.loaded == [(KINDS[model][1], {"controlnet": f"net {model}"})]
    _, libraries = an_endpoint(model, IMAGEGATE_BASE_MODEL="someone/base")
    assert libraries.loaded[0][0] == "someone/base"


def test_the_payload_of_the_documents():
    """U1, P3: a prompt with the picture of a pose, as the old documents sent it, keeps to the pose."""
    handler, libraries = an_endpoint(OPENPOSE)
    ask(
        handler,
        negative_prompt="cats",
        image=encoded(128, 64),
        num_inference_steps=30,
        guidance_scale=7.5,
        controlnet_conditioning_scale=1.0,
    )
    ((kind, words),) = libraries.calls
    assert (kind, words["image"].size, words["controlnet_conditioning_scale"]) == ("text", (128, 64), 1.0)
    assert "control_image" not in words


def test_a_photo_and_a_pose():
    """P3: a photo together with a pose goes to one pipeline; a photo alone to one without a ControlNet."""
    handler, libraries = an_endpoint(OPENPOSE)
    pose = encoded(32, 32)
    ask(handler, task="image_to_image", image=encoded(128, 64), control_image=pose, control_guidance_end=0.5)
    ask(handler, task="image_to_image", image=encoded(128, 64), strength=0.5)
    (_, together), (_, alone) = libraries.calls
    assert (together["control_image"].size, together["image"].size) == ((128, 64), (128, 64))
    assert (together["control_guidance_end"], "controlnet" in together) == (0.5, False)
    assert (alone["controlnet"], alone["strength"], "control_image" in alone) == (None, 0.5, False)


def test_a_pose_that_is_a_photo():
    """P3: where the control is a photo, the pose is taken from it first."""
    handler, libraries = an_endpoint(OPENPOSE)
    for _ in range(2):
        ask(handler, image=encoded(128, 64), preprocess=True)
    assert [kind for kind, _ in libraries.calls] == ["pose", "text", "pose", "text"]


def test_white_is_repainted():
    """P3: photo and mask reach the pipeline in the size that was asked for, the mask softened as asked."""
    mask = Image.new("L", (128, 128))
    mask.paste(255, (64, 0, 128, 128))
    data = io.BytesIO()
    mask.save(data, "PNG")
    handler, libraries = an_endpoint()
    ask(
        handler,
        task="inpainting",
        image=encoded(128, 128),
        mask_image=base64.b64encode(data.getvalue()).decode(),
        mask_blur=4,
        strength=0.9,
        num_inference_steps=20,
        width=256,
        height=192,
    )
    ((kind, words),) = libraries.calls
    assert (kind, words["image"].size, words["mask_image"].size, words["mask_image"].mode) == (
        "paint", (256, 192), (256, 192), "L",
    )  # fmt: skip
    left, middle, right = (words["mask_image"].getpixel((x, 96)) for x in (8, 128, 248))
    assert left == 0
    assert right == 255
    assert 0 < middle < 255


def test_the_size_is_told_to_whoever_takes_it():
    """U6: the size of the picture to begin with, in steps of 8, is that of the new one."""
    handler, libraries = an_endpoint(libraries=Libraries(sized=True))
    ask(handler, task="image_to_image", image=encoded(131, 77))
    ((_, words),) = libraries.calls
    assert (words["width"], words["height"], words["image"].size) == (128, 72, (128, 72))


def test_a_person_from_pictures():
    """P3, U1: PhotoMaker gets every picture, what makes each face, and its trigger word once."""
    handler, libraries = an_endpoint("TencentARC/PhotoMaker-V2")
    ask(handler, input_id_images=[encoded(), encoded(32, 32)], width=512, height=768)
    ((kind, words),) = libraries.calls
    assert (kind, words["id_embeds"], len(words["input_id_images"])) == ("person", ["face", "face"], 2)
    assert words["prompt"] == "a photo of a person img, a fox"
    assert with_trigger("a man img in the rain") == "a man img in the rain"
    assert libraries.loaded[0][0] == SDXL
    with pytest.raises(ValueError, match=r"input_id_images\[0\] shows no face"):
        ask(an_endpoint("TencentARC/PhotoMaker-V2", Libraries(faces=0))[0], input_id_images=[encoded()])
    with pytest.raises(ValueError, match="more than once"):
        ask(handler, prompt="img img", input_id_images=[encoded()])


def test_a_pose_from_a_photo():
    """P3: the annotator is asked for hands and face as the request says, and its drawing has the photo's size."""
    handler, libraries = an_endpoint("lllyasviel/Annotators")
    made = handler({"inputs": {"task": "pose_extraction", "image": encoded(200, 120), "detect_hands": False}})
    assert made.size == (200, 120)
    ((_, how),) = libraries.calls
    assert (how["include_hand"], how["include_face"], how["image_resolution"]) == (False, True, 120)


def test_loras_are_laid_over_and_taken_off():
    """U6: LoRAs go by their ids on the Hub and are gone afterwards, also where the pipeline fails."""
    handler, libraries = an_endpoint()
    ask(handler, loras=[{"name": "a/b", "weight": 0.5}, {"name": "c/d"}])
    assert libraries.loras == [
        ("a/b", "lora0"),
        ("c/d", "lora1"),
        (["lora0", "lora1"], [0.5, 1.0]),
        "unloaded",
    ]
    handler, libraries = an_endpoint(libraries=Libraries(broken=KeyError("x")))
    with pytest.raises(RuntimeError):
        ask(handler, loras=[{"name": "a/b"}])
    assert libraries.loras[-1] == "unloaded"
    with pytest.raises(ValueError, match="the LoRA nobody/nothing cannot be loaded"):
        ask(an_endpoint()[0], loras=[{"name": "nobody/nothing"}])


def test_whose_fault_it_was():
    """R5: what breaks the pipeline is told apart from what is wrong with the request; both only by their words."""
    handler, _ = an_endpoint(libraries=Libraries(broken=RuntimeError("CUDA out of memory")))
    with pytest.raises(RuntimeError, match=r"^the handler failed: RuntimeError: CUDA out of memory"):
        ask(handler)
    handler, _ = an_endpoint(libraries=Libraries(broken=ValueError("`height` must be divisible by 8")))
    with pytest.raises(ValueError, match="divisible"):
        ask(handler)
    with pytest.raises(ValueError, match="NSFW content"):
        ask(an_endpoint(libraries=Libraries(flagged=True))[0])
    with pytest.raises(ValueError, match="leaves none of 10 steps"):
        ask(an_endpoint()[0], task="image_to_image", image=encoded(), strength=0.05, num_inference_steps=10)


# ── Requests that are wrong, here and at the stand-in ────────────────────────────────────────────────────────────────

NAMES = {SDXL: "handler", OPENPOSE: "handler-openpose", "TencentARC/PhotoMaker-V2": "handler-photomaker"}
NAMES["lllyasviel/Annotators"] = "handler-annotator"
PICTURE = encoded()
WRONG = [
    (SDXL, {"lora": "a/b"}, "no such input: lora"),
    (SDXL, {"lora_scale": 1}, "no such input: lora_scale"),
    (SDXL, {"task": "identity"}, "this endpoint does text_to_image, image_to_image, inpainting, not 'identity'"),
    (SDXL, {"prompt": ""}, "prompt is missing"),
    (SDXL, {"prompt": 3}, "prompt"),
    (SDXL, {"seed": -1}, "seed"),
    (SDXL, {"seed": 1.5}, "seed"),
    (SDXL, {"seed": True}, "seed"),
    (SDXL, {"num_inference_steps": 0}, "num_inference_steps"),
    (SDXL, {"guidance_scale": "7"}, "guidance_scale"),
    (SDXL, {"image": PICTURE}, "text_to_image has no use for image"),
    (SDXL, {"task": "image_to_image"}, "image_to_image needs image"),
    (SDXL, {"task": "inpainting", "image": PICTURE}, "inpainting needs mask_image"),
    (SDXL, {"task": "image_to_image", "image": PICTURE, "mask_image": PICTURE}, "has no use for mask_image"),
    (SDXL, {"task": "image_to_image", "image": "not base64!"}, "image is not"),
    (SDXL, {"task": "image_to_image", "image": "aGVsbG8="}, "image is not a whole PNG, JPEG or WEBP"),
    (SDXL, {"task": "image_to_image", "image": PICTURE[:80]}, "image is not a whole PNG, JPEG or WEBP"),
    (SDXL, {"task": "image_to_image", "image": encoded(format="GIF")}, "image is not a whole PNG, JPEG or WEBP"),
    (SDXL, {"task": "image_to_image", "image": PICTURE, "strength": 1.5}, "strength"),
    (SDXL, {"task": "image_to_image", "image": PICTURE, "control_image": PICTURE}, "runs no ControlNet"),
    (SDXL, {"loras": [{"name": "../etc/passwd"}]}, "loras"),
    (SDXL, {"loras": [{"name": "https://x/y.safetensors"}]}, "loras"),
    (SDXL, {"loras": [{"name": "a/b", "weight": 9}]}, "loras"),
    (SDXL, {"loras": ["a/b"]}, "loras"),
    (OPENPOSE, {}, "control_openpose needs image"),
    (OPENPOSE, {"image": PICTURE, "controlnet_conditioning_scale": 3}, "controlnet_conditioning_scale"),
    (OPENPOSE, {"image": PICTURE, "preprocess": "yes"}, "preprocess"),
    ("TencentARC/PhotoMaker-V2", {}, "1 to 4 pictures in input_id_images"),
    ("TencentARC/PhotoMaker-V2", {"input_id_images": [PICTURE], "loras": [{"name": "a/b"}]}, "takes no LoRAs"),
    ("lllyasviel/Annotators", {}, "pose_extraction needs image"),
]


@pytest.mark.parametrize(("model", "inputs", "words"), WRONG, ids=lambda value: str(value)[:40])
def test_what_is_wrong_is_a_sentence(model, inputs, words):
    """R1, R5, U6: every wrong input is refused by name, and the stand-in refuses it in the same words."""
    body = {"inputs": {"prompt": "a fox", **inputs}}
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the words are compared below
        an_endpoint(model)[0](body)
    assert words in str(refused.value)
    with pytest.raises(RefusedError) as refused:
        stand_in.read(NAMES[model], body)
    assert refused.value.status == 400
    assert words in refused.value.body["error"]


@pytest.mark.parametrize("body", [{}, {"inputs": "a fox"}, {"inputs": {"prompt": "x"}, "parameters": {}}])
def test_another_payload_is_refused(body):
    """U6: what the standard container takes is not taken here, and the stand-in says so too."""
    with pytest.raises(ValueError, match="`inputs`, an object"):
        an_endpoint()[0](body)
    with pytest.raises(RefusedError, match="`inputs`, an object"):
        stand_in.read("handler", body)
