"""Every model of every provider, and every payload that can be made for it, without a socket."""

import json
import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imagegate.providers.automatic1111 import wire as webui
from imagegate.providers.automatic1111.provider import create as create_webui
from imagegate.providers.fal import wire as fal
from imagegate.providers.fal.provider import create as create_fal
from imagegate.providers.huggingface.provider import create as create_huggingface
from imagegate.providers.huggingface.shapes import BY_ROUTER, Shape, endpoint, replicate
from imagegate.runtime.adjustments import Adjustment
from imagegate.runtime.deadline import Deadline
from imagegate.runtime.fitting import asked_fields, fit
from imagegate.runtime.models import Model
from imagegate.runtime.order import Order
from imagegate.runtime.validation import violations
from imagegate.v1.generation_pb2 import ACTION_CLAMPED

from .made_up import Request, request_for
from .sent import problems

Payload = Mapping[str, Any]
DRAWN = 3_141_592_653


@dataclass(frozen=True, slots=True)
class Way:
    """A model, how its payload is made, and the fields that this fills although nobody asked."""

    model: Model
    to_payload: Callable[[Order], Payload]
    free: Collection[str] = ()


def ways() -> Iterator[Way]:
    """Every model, and ids outside the catalogues, by every dialect that may serve it."""
    for model in _models(create_fal):
        if "text_to_image" not in model.tasks:  # what goes along with those is another test's matter
            continue
        yield Way(model, lambda order: fal.to_payload(order, 0))
    for model in _models(create_webui):
        yield Way(model, lambda order: webui.to_payload(order, ""))
    for model in _models(create_huggingface):
        few = [replicate, endpoint]  # they make sizes of their own, so no entry lists any for them
        yield from (
            _by_shape(model, own) for own in (*BY_ROUTER.values(), endpoint) if own not in few or not model.sizes
        )


def _by_shape(model: Model, shape: Shape) -> Way:
    """By one of those who may serve a Hugging Face model, who may take less than its entry says."""
    theirs = model.upstream_model.lower().replace("flux.1", "flux")

    def to_payload(order: Order) -> Payload:
        shape.fit(order, theirs)
        return shape.to_payload(order, 0, theirs)

    # Some take both sides or none, or few shapes only: a side that was left open follows the other.
    return Way(model, to_payload, ("width", "height"))


def _models(create: Callable[..., Any]) -> Sequence[Model]:
    """The models of a provider, what stands for all others, and each that takes sizes as if it made only a few."""
    catalogue = create({}, lambda _: None).catalogue
    models = [*catalogue.models, *([catalogue.outside] if catalogue.outside else [])]
    return [*models, *(_of_few_sizes(model) for model in models if "width" in model.parameters)]


def _of_few_sizes(model: Model) -> Model:
    others = {name: own for name, own in model.parameters.items() if name not in ("width", "height")}
    return model.model_copy(update={"parameters": others, "sizes": ((1024, 1024), (1344, 768), (768, 1344))})


WAYS = tuple(ways())


def test_a_payload_is_what_was_asked_or_told(payload_seeds: Sequence[str]) -> None:
    """R1, R2, P2, P4: nothing outside a model's range is sent, nor anything that it does not declare; every difference
    from the request is told; what nobody asked for is sent only where the model's entry or the quality gives it.
    """
    for seed in payload_seeds:
        dice = random.Random(seed)  # noqa: S311 it must repeat
        way = dice.choice(WAYS)
        request = request_for(dice, way.model)
        assert not violations(request), seed
        fitted = fit(request, way.model, DRAWN)
        order = Order(
            model=way.model,
            prompt=request.prompt,
            parameters=fitted.parameters,
            deadline=Deadline.after(60),
            options=fitted.options,
            asked=asked_fields(request),
            adjustments=list(fitted.adjustments),
        )
        payload = way.to_payload(order)
        assert json.loads(json.dumps(payload, allow_nan=False)) == payload, seed
        found = problems(request, way.model, payload, order.adjustments, seed=order.seed(), free=way.free)
        assert not found, f"{seed} {way.model.provider}/{way.model.key}: {found}\n{request}\n{payload}"


def test_the_judge_sees_what_is_wrong() -> None:
    """R1: whatever differs between a request, its payload and what is told of it is found."""
    model = next(way.model for way in WAYS if way.model.key == "flux-dev" and way.model.provider == "fal")
    request = Request(prompt="a cat", width=100, height=512, steps=20, negative_prompt="dog", seed=7)
    fitted = fit(request, model, DRAWN)
    order = Order(model=model, prompt=request.prompt, parameters=fitted.parameters, deadline=Deadline.after(60))
    right = fal.to_payload(order, 0)

    def found(payload: Payload, adjustments: Sequence[Adjustment] = fitted.adjustments) -> list[str]:
        return problems(request, model, payload, adjustments, seed=7)

    assert not found(right)
    for wrong in (
        {"prompt": "a cat "},
        {"num_inference_steps": 21},
        {"num_inference_steps": 0},
        {"image_size": {"width": 100, "height": 512}},
        {"image_size": {"width": 256, "height": 513}},
        {"seed": 8},
        {"guidance_scale": 7},
        {"negative_prompt": "dog"},
        {"sampler": "Euler a"},
        {"loras": []},
        {"num_images": 2},
    ):
        assert found({**right, **wrong}), wrong
    for name in ("prompt", "image_size", "num_inference_steps", "seed"):
        assert found({key: value for key, value in right.items() if key != name}), name
    for missing in fitted.adjustments:
        assert found(right, [each for each in fitted.adjustments if each is not missing]), missing
    told = Adjustment(parameter="steps", requested="20", applied="20", action=ACTION_CLAMPED, why="it says so")
    assert found(right, [*fitted.adjustments, told])
    assert found(right, [*fitted.adjustments, fitted.adjustments[0]])
