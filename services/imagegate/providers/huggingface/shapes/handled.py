"""A dedicated Inference Endpoint that runs our handler (`handler.py`, where the payload is told): every task.

Everything stands in `inputs`, under the names that diffusers' pipelines have for it. What the container around it does,
its proxy and its errors are those of any endpoint.
"""

from base64 import b64encode
from collections.abc import Mapping

from imagegate.providers.huggingface import loras, wire
from imagegate.providers.huggingface.shapes import endpoint
from imagegate.runtime.inputs import Control, InputPicture
from imagegate.runtime.order import Order
from imagegate.runtime.tasks import FROM_A_PICTURE, IDENTITY, POSE_EXTRACTION, TEXT_TO_IMAGE

# Who serves it is the endpoint, whatever runs there.
NAME = endpoint.NAME

url = endpoint.url
headers = endpoint.headers
to_output = endpoint.to_output
to_error = endpoint.to_error


def fit(order: Order, model: str) -> None:
    """The catalogue's words are its own; only a LoRA may have a name that the Hub cannot have."""
    loras.check_names(order.inputs.loras)


def to_payload(order: Order, index: int, model: str) -> dict[str, object]:
    """What the order holds, and nothing else: it refuses a field that it does not know."""
    if order.inputs.task == POSE_EXTRACTION:
        hands, face = order.inputs.detect_hands, order.inputs.detect_face
        return {"inputs": {**_pictures(order), "detect_hands": hands, "detect_face": face}}
    inputs: dict[str, object] = {"prompt": order.prompt, **wire.named(order, index), **wire.sides(order)}
    inputs |= {name: order.parameters[name] for name in ("strength", "mask_blur") if name in order.parameters}
    inputs |= _pictures(order)
    for control in order.inputs.controls:
        inputs |= _control(control)
    if order.inputs.loras:
        inputs["loras"] = [
            {"name": each.name, **({} if each.weight is None else {"weight": each.weight})}
            for each in order.inputs.loras
        ]
    return {"inputs": inputs}


def _pictures(order: Order) -> dict[str, object]:
    """The task and its pictures. One to begin with comes first: the pose goes beside it, else into its place."""
    inputs = order.inputs
    found: dict[str, object] = {"task": _task(order)}
    if inputs.image is not None:
        found["image"] = _encoded(inputs.image)
    for control in inputs.controls:
        found["image" if inputs.image is None else "control_image"] = _encoded(control.picture)
    if inputs.mask is not None:
        found["mask_image"] = _encoded(inputs.mask)
    if inputs.identity:
        found["input_id_images"] = [_encoded(each.picture) for each in inputs.identity]
    return found


def _task(order: Order) -> str:
    inputs = order.inputs
    if inputs.task in FROM_A_PICTURE:
        return inputs.task
    if inputs.controls:
        return f"control_{inputs.controls[0].fitted.kind}"
    return IDENTITY if inputs.identity else TEXT_TO_IMAGE


def _control(control: Control) -> Mapping[str, object]:
    how = control.fitted
    named = {
        "controlnet_conditioning_scale": how.scale,
        "control_guidance_start": how.start,
        "control_guidance_end": how.end,
        "preprocess": how.preprocess or None,
    }
    return {name: value for name, value in named.items() if value is not None}


def _encoded(picture: InputPicture) -> str:
    return b64encode(picture.data).decode()
