"""An order in the webui's own terms, before anything is sent: what it does not have is refused here, or told.

The webui itself refuses little: it takes another sampler, no LoRA and no control in the place of one it does not know.
"""

from collections.abc import Sequence

from imagegate.providers.automatic1111 import extensions, prompt, wire
from imagegate.providers.automatic1111.extensions import ControlNet, Loras
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.options import OPTIONS_FIELD
from imagegate.runtime.order import Order
from imagegate.runtime.samplers import Samplers, is_no_reason_to_refuse, settle, shown
from imagegate.runtime.tasks import FittedLora
from imagegate.v1 import generation_pb2


def settle_sampler(order: Order, known: Samplers) -> None:
    """Put the webui's own spelling of the sampler into the order, which has one, as it may have been told already.

    Raises Failure(UNSUPPORTED) for one that the webui does not have: it would use another one without a word.
    """
    asked = str(order.parameters["sampler"])
    usual = order.model.parameters["sampler"].default if "scheduler" not in order.parameters else None
    found, change = settle(asked, known, usual)
    if found is None and change is None:
        raise _lacks(f"sampler {shown(asked)}", known.nearest(asked))
    if change is not None:
        is_note = is_no_reason_to_refuse(change, is_asked="sampler" in order.asked)
        record = order.note if is_note else order.adjust
        record(change.parameter, change.requested, change.applied, change.action, change.why)
    others = {name: value for name, value in order.parameters.items() if name != "sampler"}
    order.parameters = others | (found.as_parameters() if found else {})


def tell_of_tags(order: Order) -> None:
    """Record what of the caller's words the webui will not take for an instruction."""
    for name, text in (("prompt", order.prompt), ("negative_prompt", str(order.parameters.get("negative_prompt", "")))):
        found = prompt.tags(text)
        if found:
            why = "in a prompt the webui takes this for an instruction, and a request gives it none"
            applied = " ".join(prompt.plain(tag).strip() for tag in found)
            order.adjust(name, " ".join(found), applied, generation_pb2.ACTION_TRANSLATED, why)


def settled_loras(order: Order, known: Loras | None) -> Sequence[FittedLora]:
    """The order's LoRAs by the webui's own names.

    Raises Failure: UNSUPPORTED for one that the webui does not have, which it would leave out without a word;
    UPSTREAM_ERROR where nobody knows what it has.
    """
    settled = []
    for number, lora in enumerate(order.inputs.loras):
        if known is None:
            raise Failure(
                Reason.UPSTREAM_ERROR, "the webui does not tell which LoRAs it has", dispatch=Dispatch.NOT_SENT
            )
        name = known.find(lora.name)
        if name is None:
            raise _lacks(f"LoRA {shown(lora.name)}", known.nearest(lora.name))
        if name != lora.name:
            why = "this is the name of the file that the webui knows by that name, too"
            order.note(f"loras[{number}].name", lora.name, name, generation_pb2.ACTION_TRANSLATED, why)
        settled.append(FittedLora(name, lora.weight))
    return settled


def settled_controls(order: Order, has: ControlNet, checkpoint: str) -> Sequence[wire.Unit]:
    """The order's controls with the models and preprocessors of ControlNet that do them, for a checkpoint of that name.

    Raises Failure(UNSUPPORTED) where there is none.
    """
    units = []
    for control in order.inputs.controls:
        kind = control.fitted.kind
        model = has.model(kind, checkpoint)
        module = has.module(kind) if control.fitted.preprocess else wire.NO_MODULE
        if model is None:
            raise _lacks(f"ControlNet model for {kind} that fits its checkpoint")
        if module is None:
            raise _lacks(f"preprocessor that finds {kind} in a photo")
        if not extensions.family_of(model) or not extensions.family_of(checkpoint):
            order.warnings.append(
                f"whether {shown(model)} fits the checkpoint cannot be told by their names; where it does not, the "
                "webui leaves the control out without a word"
            )
        units.append(wire.Unit(control, model, module))
    return units


def settled_detector(order: Order, has: ControlNet) -> str:
    """The preprocessor that draws the pose, for an order that wants nothing but that.

    What a detector does not look at is taken out of the order, and told. Raises Failure(UNSUPPORTED).
    """
    if order.inputs.controls or order.inputs.loras:
        raise Failure(
            Reason.UNSUPPORTED,
            "a pose is found in a photo as it is: neither controls nor LoRAs go along",
            remedy="leave them out",
            dispatch=Dispatch.NOT_SENT,
        )
    if not has.detects_poses:
        raise _lacks("ControlNet extension that draws poses")
    why = "finding a pose takes nothing but the photo"
    for name in sorted(order.parameters):
        order.change(name, None, generation_pb2.ACTION_DROPPED, why)
    if order.options:
        order.adjust(OPTIONS_FIELD, ", ".join(sorted(order.options)), "", generation_pb2.ACTION_DROPPED, why)
    return extensions.POSE_DETECTORS[order.inputs.detect_hands, order.inputs.detect_face]


def _lacks(what: str, names: Sequence[str] = ()) -> Failure:
    return Failure(
        Reason.UNSUPPORTED,
        f"the webui has no {what}",
        remedy=f"one of {', '.join(names)}" if names else "",
        dispatch=Dispatch.NOT_SENT,
    )
