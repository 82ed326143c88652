"""What is sent for a request, and that every change is told (R1, R2, R3, P2, P4). Sizes: see test_sizing."""

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagegate.providers.fal.provider import create as create_fal
from imagegate.providers.huggingface.provider import create as create_huggingface
from imagegate.runtime.adjustments import Adjustment, Value, text_of
from imagegate.runtime.fitting import PLAIN_FIELDS, PRESETS, Fitted, fit, forbidden, lack
from imagegate.runtime.models import Model
from imagegate.runtime.parameters import INTEGER_FIELDS, Parameter
from imagegate.runtime.samplers import Named, Samplers
from imagegate.runtime.validation import violations
from imagegate.v1 import generation_pb2, terms_pb2

Request = generation_pb2.GenerateRequest
SAMPLERS = ("Euler a", "DPM++ 2M Karras", "LMS")
DRAWN = 123_456_789


def model(**parameters: Parameter) -> Model:
    return Model(key="m", display_name="The model", upstream_model="u/m", parameters=parameters)


def fitted(ask: Request, **parameters: Parameter) -> Fitted:
    return fit(ask, model(**parameters), DRAWN)


def told(result: Fitted) -> list[tuple[str, str, str, str]]:
    """Each adjustment as (parameter, requested, applied, action)."""
    return [as_told(each) for each in result.adjustments]


def as_told(a: Adjustment) -> tuple[str, str, str, str]:
    return (a.parameter, a.requested, a.applied, generation_pb2.Action.Name(a.action).removeprefix("ACTION_"))


@st.composite
def numbers(draw: st.DrawFn, low: int, high: int, *, fractions: bool) -> Parameter:
    """A declaration of a number that a models.yaml may hold."""
    scale = draw(st.sampled_from([1, 10, 100])) if fractions else 1
    grid = draw(st.none() | st.integers(1, 64))
    step = grid or 1
    bounds = sorted(draw(st.tuples(st.integers(low // step, high // step), st.integers(low // step, high // step))))
    minimum, maximum = (round(bound * step / scale, 6) for bound in bounds)
    keep_low, keep_high = draw(st.booleans()), draw(st.booleans())
    default = draw(st.none() | st.integers(bounds[0], bounds[1]))
    return Parameter(
        minimum=minimum if keep_low else None,
        maximum=maximum if keep_high else None,
        multiple_of=None if grid is None else grid / scale,
        default=None if default is None else float(f"{default * (step / scale):.10g}"),
    )


@st.composite
def samplers(draw: st.DrawFn) -> Parameter:
    choices = tuple(draw(st.lists(st.sampled_from(SAMPLERS), unique=True)))
    default = draw(st.none() | st.sampled_from(choices)) if choices else draw(st.none() | st.just("Euler"))
    return Parameter(choices=choices, default=default)


@st.composite
def texts(draw: st.DrawFn) -> Parameter:
    maximum = draw(st.none() | st.integers(5, 400))
    return Parameter(maximum=maximum, default=draw(st.none() | st.just("ugly")))


DECLARATIONS: dict[str, st.SearchStrategy[Parameter]] = {
    "negative_prompt": texts(),
    "width": numbers(64, 4096, fractions=False),
    "height": numbers(64, 4096, fractions=False),
    "steps": numbers(1, 150, fractions=False),
    "guidance_scale": numbers(0, 50, fractions=True),
    "seed": st.builds(Parameter, minimum=st.none() | st.just(0), maximum=st.none() | st.integers(0, 2**53)),
    "sampler": samplers(),
}
SIZES = st.lists(st.tuples(st.integers(64, 4096), st.integers(64, 4096)), min_size=1, max_size=8)


@st.composite
def models(draw: st.DrawFn) -> Model:
    """A model with ranges, or one that makes some sizes only."""
    parameters = draw(st.fixed_dictionaries({}, optional=DECLARATIONS))
    if {"width", "height"} & parameters.keys() or draw(st.booleans()):
        return model(**parameters)
    return Model(
        key="m", display_name="The model", upstream_model="u/m", parameters=parameters, sizes=tuple(draw(SIZES))
    )


MODELS = models()
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "negative_prompt": st.text(max_size=500) | st.just(""),
    "width": st.integers(64, 4096),
    "height": st.integers(64, 4096),
    "steps": st.integers(1, 150),
    "guidance_scale": st.floats(0, 50, width=32) | st.sampled_from([0.0, 0.1, 3.5, 7.1]),
    "seed": st.integers(-1, 2**63 - 1) | st.just(0),
    "sampler": st.sampled_from(["", "euler a", "LMS", "no such", *SAMPLERS]),
    "quality": st.sampled_from([0, *PRESETS]),
    "on_unsupported": st.sampled_from([0, 1, 2]),
    "must_keep": st.lists(st.sampled_from(PLAIN_FIELDS), max_size=3),
}


@st.composite
def requests(draw: st.DrawFn) -> Request:
    request = Request(prompt="a cat", **draw(st.fixed_dictionaries({}, optional=FIELDS)))
    assert not violations(request)
    return request


def asked_for(request: Request) -> dict[str, Value]:
    """What the caller set: an absent field, a random seed and an empty sampler are not asked for."""
    asked = {
        name: getattr(request, name)
        for name in PLAIN_FIELDS
        if (request.sampler if name == "sampler" else request.HasField(name))  # type: ignore[arg-type]
    }
    if asked.get("seed") == -1:
        del asked["seed"]
    return asked


def is_same(asked: Value, sent: Value) -> bool:
    """Whether nothing was changed: another spelling of a sampler's name is the same one."""
    if isinstance(asked, str) or isinstance(sent, str):
        return str(asked).casefold() == str(sent).casefold()
    if isinstance(asked, float):
        return struct.pack("f", asked) == struct.pack("f", sent)
    return asked == sent


def is_multiple(value: float, grid: float) -> bool:
    return value / grid == pytest.approx(round(value / grid), rel=1e-8, abs=1e-8)


@given(requests(), MODELS, st.integers(0, 2**32 - 1))
def test_only_what_the_model_declares_is_sent(request: Request, of: Model, drawn: int) -> None:
    """R1: whatever the request and the model, nothing is sent that the model does not declare."""
    assert set(fit(request, of, drawn).parameters) <= set(of.parameters) | ({"width", "height"} if of.sizes else set())


@given(requests(), MODELS, st.integers(0, 2**32 - 1))
def test_nothing_empty_and_nothing_unasked(request: Request, of: Model, drawn: int) -> None:
    """R2, P2: nothing empty is sent, and nothing left out except what the quality stands for where the model takes
    exactly that, the entry's defaults, and a seed.
    """
    asked = asked_for(request)
    sent = fit(request, of, drawn).parameters
    assert all(value is not None and value != "" for value in sent.values())
    for name in of.parameters.keys() - asked.keys():
        declared = of.parameters[name]
        side, steps = PRESETS.get(request.quality, (None, None))
        preset = {"width": side, "height": side, "steps": steps}.get(name)
        if name == "seed":
            assert sent["seed"] == (drawn if declared.maximum is None else drawn % (int(declared.maximum) + 1))
        elif preset is not None and declared.takes(preset):
            assert sent[name] == preset
        else:
            assert sent.get(name) == declared.default


@given(requests(), MODELS, st.integers(0, 2**32 - 1))
def test_within_range_and_on_grid(request: Request, of: Model, drawn: int) -> None:
    """P4: every number sent lies in the model's range and on its grid, as a whole number where it must be one."""
    sent = dict(fit(request, of, drawn).parameters)
    if of.sizes:
        assert (sent.pop("width"), sent.pop("height")) in of.sizes
    for name, value in sent.items():
        declared = of.parameters[name]
        if isinstance(value, str):
            assert not declared.choices or value in declared.choices
            assert declared.maximum is None or len(value) <= declared.maximum
            continue
        assert declared.allows(value)
        assert declared.multiple_of is None or is_multiple(value, declared.multiple_of)
        assert isinstance(value, int) or name not in INTEGER_FIELDS


@settings(max_examples=300)
@given(requests(), MODELS, st.integers(0, 2**32 - 1))
def test_each_change_is_told_once(request: Request, of: Model, drawn: int) -> None:
    """R1: every difference between asked and sent has exactly one adjustment, and none is without a difference."""
    result = fit(request, of, drawn)
    changed = [
        name
        for name, value in asked_for(request).items()
        if not is_same(value, result.parameters.get(name, "")) or (name not in result.parameters and value != "")
    ]
    assert [a.parameter for a in result.adjustments] == changed
    for adjustment in result.adjustments:
        assert adjustment.requested != adjustment.applied, "it must show what was changed"
        assert adjustment.why
        assert adjustment.action


@given(requests(), MODELS, st.integers(0, 2**32 - 1))
def test_idempotent(request: Request, of: Model, drawn: int) -> None:
    """What was fitted fits: to ask for exactly what was sent changes nothing."""
    first = fit(request, of, drawn).parameters
    again = fit(Request(prompt="a cat", **dict(first)), of, drawn)
    assert not again.adjustments
    assert {name: again.parameters[name] for name in first} == first


@given(requests(), MODELS, st.integers(0, 2**32 - 1))
def test_forbidden_names_exactly_the_changed(request: Request, of: Model, drawn: int) -> None:
    """R1: REFUSE forbids every change, must_keep those it names; what was not changed is never named."""
    adjustments = fit(request, of, drawn).adjustments
    changed = [a.parameter for a in adjustments]
    if request.on_unsupported == generation_pb2.ON_UNSUPPORTED_REFUSE:
        assert forbidden(request, adjustments) == changed
    else:
        assert forbidden(request, adjustments) == [name for name in changed if name in request.must_keep]


def test_zero_is_a_value() -> None:
    """R2: guidance 0 and seed 0 are sent, and override a default."""
    ask = Request(prompt="a", guidance_scale=0, seed=0)
    sent = fitted(ask, guidance_scale=Parameter(minimum=0, maximum=20, default=3.5), seed=Parameter()).parameters
    assert sent == {"guidance_scale": 0, "seed": 0}
    default = fitted(Request(prompt="a"), guidance_scale=Parameter(minimum=0, maximum=0, default=0)).parameters
    assert default == {"guidance_scale": 0}


def test_empty_negative_prompt_overrides_a_default() -> None:
    """R2: a negative prompt that is present and empty means none, not the default, and is no adjustment."""
    declared = Parameter(default="ugly")
    assert fitted(Request(prompt="a"), negative_prompt=declared).parameters == {"negative_prompt": "ugly"}
    none = fitted(Request(prompt="a", negative_prompt=""), negative_prompt=declared)
    assert (none.parameters, none.adjustments) == ({}, ())
    assert fitted(Request(prompt="a", negative_prompt="")).adjustments == ()


def test_what_is_not_taken_is_dropped_aloud() -> None:
    """R1: a parameter that the model does not declare is dropped, and the answer says so."""
    result = fitted(Request(prompt="a", negative_prompt="hands", steps=20))
    assert result.parameters == {}
    assert told(result) == [("negative_prompt", "hands", "", "DROPPED"), ("steps", "20", "", "DROPPED")]
    assert result.adjustments[0].why == "The model does not take it"


@pytest.mark.parametrize(
    ("declared", "asked", "sent", "action", "why"),
    [
        (Parameter(minimum=256, maximum=2048, multiple_of=8), 100, 256, "CLAMPED", "the model takes 256 to 2048"),
        (Parameter(minimum=256, maximum=2048, multiple_of=8), 4096, 2048, "CLAMPED", "the model takes 256 to 2048"),
        (Parameter(minimum=256, maximum=2047, multiple_of=8), 4096, 2040, "CLAMPED", "the model takes 256 to 2047"),
        (Parameter(minimum=257, maximum=2048, multiple_of=8), 64, 264, "CLAMPED", "the model takes 257 to 2048"),
        (Parameter(maximum=1000), 1024, 1000, "CLAMPED", "the model takes at most 1000"),
        (Parameter(minimum=512), 500, 512, "CLAMPED", "the model takes at least 512"),
        (Parameter(multiple_of=16), 1000, 992, "ROUNDED", "the model takes multiples of 16"),
        (Parameter(maximum=1000, multiple_of=16), 1000, 992, "ROUNDED", "the model takes multiples of 16"),
    ],
)
def test_numbers(declared: Parameter, asked: int, sent: int, action: str, why: str) -> None:
    """P4: a number outside the range is clamped, one off the grid rounded, and the reason is true."""
    result = fitted(Request(prompt="a", width=asked), width=declared)
    assert result.parameters == {"width": sent}
    assert told(result) == [("width", str(asked), str(sent), action)]
    assert result.adjustments[0].why == why


@pytest.mark.parametrize("declared", [Parameter(maximum=7.1), Parameter(minimum=7.1), Parameter(multiple_of=0.1)])
def test_single_precision_is_no_difference(declared: Parameter) -> None:
    """R1: 7.1 travels as 7.0999999; it is sent as 7.1, and not told as a change from 7.1 to 7.1."""
    result = fitted(Request(prompt="a", guidance_scale=7.1), guidance_scale=declared)
    assert (result.parameters, result.adjustments) == ({"guidance_scale": 7.1}, ())


def test_small_differences_are_shown() -> None:
    """R1: an adjustment shows both values with the digits in which they differ."""
    result = fitted(Request(prompt="a", guidance_scale=20.000002), guidance_scale=Parameter(maximum=20))
    assert told(result) == [("guidance_scale", "20.000002", "20", "CLAMPED")]


@pytest.mark.parametrize("seed", [2**32, 2**32 + 7, 2**63 - 1])
def test_seeds_wrap(seed: int) -> None:
    """R2: a seed above the model's maximum becomes the remainder, so that two large ones stay two pictures."""
    result = fitted(Request(prompt="a", seed=seed), seed=Parameter(minimum=0, maximum=2**32 - 1))
    assert result.parameters == {"seed": seed % 2**32}
    assert told(result) == [("seed", str(seed), str(seed % 2**32), "TRANSLATED")]


@pytest.mark.parametrize("ask", [Request(prompt="a"), Request(prompt="a", seed=-1)])
def test_open_seed_is_drawn(ask: Request) -> None:
    """R2: a seed left open is drawn and sent where the model takes one, and nowhere else."""
    assert fitted(ask, seed=Parameter(maximum=99)).parameters == {"seed": DRAWN % 100}
    assert fitted(ask).parameters == {}
    assert fitted(ask).adjustments == ()


@pytest.mark.parametrize(
    ("quality", "sent"),
    [
        (terms_pb2.QUALITY_SD, {"width": 512, "height": 512, "steps": 30}),
        (terms_pb2.QUALITY_HD, {"width": 1024, "height": 1024, "steps": 50}),
        (terms_pb2.QUALITY_ULTRA, {"width": 1024, "height": 1024, "steps": 50}),
        (terms_pb2.QUALITY_PREMIUM, {"width": 1024, "height": 1024, "steps": 60}),
    ],
)
def test_a_quality_fills_in_what_was_left_open(quality: "terms_pb2.Quality.ValueType", sent: dict[str, int]) -> None:
    """P2: a quality stands for a size and steps where the request names none; what it names stays, and none is told."""
    sides = {side: Parameter(minimum=256, maximum=2048, multiple_of=8, default=768) for side in ("width", "height")}
    steps = Parameter(minimum=1, maximum=100, default=20)
    result = fitted(Request(prompt="a", quality=quality), steps=steps, **sides)
    assert (result.parameters, result.adjustments) == (sent, ())
    asked = fitted(Request(prompt="a", quality=quality, width=640, steps=7), steps=steps, **sides)
    assert (asked.parameters, asked.adjustments) == ({**sent, "width": 640, "steps": 7}, ())


@pytest.mark.parametrize(
    "steps",
    [
        Parameter(minimum=1, maximum=4, default=4),
        Parameter(minimum=40, default=41),
        Parameter(multiple_of=4, default=8),
    ],
)
def test_what_a_quality_stands_for_is_no_wish(steps: Parameter) -> None:
    """P2: where the model does not take exactly what a quality stands for, its own usual number is sent, unadjusted."""
    result = fitted(Request(prompt="a", quality=terms_pb2.QUALITY_SD), steps=steps)
    assert (result.parameters, result.adjustments) == ({"steps": steps.default}, ())
    assert fitted(Request(prompt="a", quality=terms_pb2.QUALITY_SD)).parameters == {}


def test_a_distilled_model_is_asked_in_its_own_terms() -> None:
    """R3: what was meant for FLUX.1 [dev] becomes FLUX.1 [schnell]'s 4 steps, guidance 0 and no negative prompt."""
    schnell = create_huggingface({}, lambda _: None).catalogue.find("flux-schnell")
    assert schnell is not None
    result = fit(Request(prompt="a", steps=28, guidance_scale=3.5, negative_prompt="blur", seed=7), schnell, DRAWN)
    assert result.parameters == {"width": 1024, "height": 1024, "steps": 4, "guidance_scale": 0, "seed": 7}
    assert told(result) == [
        ("negative_prompt", "blur", "", "DROPPED"),
        ("steps", "28", "4", "TRANSLATED"),
        ("guidance_scale", "3.5", "0", "TRANSLATED"),
    ]
    assert [each.why for each in result.adjustments[1:]] == [
        "the model is distilled to 1 to 4 steps", "the model works without guidance",
    ]  # fmt: skip


def test_out_of_range_is_not_another_familys_terms() -> None:
    """P4: what is too much, or too little, for a model of the caller's own family is clamped."""
    declared = {"steps": Parameter(maximum=50), "guidance_scale": Parameter(maximum=20)}
    many = fitted(Request(prompt="a", steps=90, guidance_scale=30), **declared)
    few = fitted(Request(prompt="a", steps=1), steps=Parameter(minimum=2, maximum=4))
    assert [action for *_, action in told(many) + told(few)] == ["CLAMPED"] * 3


def test_flux_pro_as_it_was_documented_once() -> None:
    """R1: flux-pro takes neither the 28 steps nor the guidance of 3.5 that it was documented with: both are dropped."""
    pro = create_fal({}, lambda _: None).catalogue.find("flux-pro")
    assert pro is not None
    result = fit(Request(prompt="a", steps=28, guidance_scale=3.5), pro, DRAWN)
    assert told(result) == [("steps", "28", "", "DROPPED"), ("guidance_scale", "3.5", "", "DROPPED")]
    assert not {"steps", "guidance_scale"} & result.parameters.keys()


def test_samplers() -> None:
    """U3: a sampler is known by its name in any case; an unknown one becomes the default, or is dropped."""
    declared = Parameter(choices=SAMPLERS)
    assert fitted(Request(prompt="a", sampler="EULER A"), sampler=declared) == Fitted({"sampler": "Euler a"}, ())
    unknown = fitted(Request(prompt="a", sampler="Heun"), sampler=declared)
    assert (unknown.parameters, told(unknown)) == ({}, [("sampler", "Heun", "", "DROPPED")])
    replaced = fitted(Request(prompt="a", sampler="Heun"), sampler=Parameter(choices=SAMPLERS, default="LMS"))
    assert (replaced.parameters, told(replaced)) == ({"sampler": "LMS"}, [("sampler", "Heun", "LMS", "SUBSTITUTED")])


KNOWN = Samplers(
    (Named("Euler a", ("k_euler_a",)), Named("DPM++ 2M"), Named("LMS")), (Named("karras"), Named("exponential"))
)
REFUSE = generation_pb2.ON_UNSUPPORTED_REFUSE
PHOTO = generation_pb2.InputImage(data=b"a photo")


def with_samplers(declared: Parameter) -> Model:
    return model(sampler=declared).model_copy(update={"samplers": KNOWN})


@pytest.mark.parametrize(
    ("asked", "sent", "changed", "noted"),
    [
        ("k_EULER_a", {"sampler": "Euler a"}, [], []),
        ("", {"sampler": "LMS"}, [], []),
        ("dpm++ 2m karras", {"sampler": "DPM++ 2M", "scheduler": "karras"}, [],
         [("sampler", "dpm++ 2m karras", "DPM++ 2M, scheduler karras", "TRANSLATED")]),
        ("Euler b", {"sampler": "Euler b"}, [], []),
    ],
)  # fmt: skip
def test_a_sampler_by_the_models_own_names(
    asked: str, sent: dict[str, Value], changed: list[tuple[str, ...]], noted: list[tuple[str, ...]]
) -> None:
    """U3, R1: another spelling is no change, one that is split in two no reason to refuse; what it lacks stays."""
    request = Request(prompt="a", sampler=asked, on_unsupported=REFUSE, must_keep=["sampler"])
    result = fit(request, with_samplers(Parameter(default="LMS")), DRAWN)
    assert (result.parameters, told(result), [as_told(each) for each in result.notes]) == (sent, changed, noted)
    assert result.told == result.notes
    assert forbidden(request, result.adjustments) == []


def test_a_sampler_that_the_model_lacks() -> None:
    """U3, R1: it is named with the three nearest; where nobody knows which there are, it is not said to be missing."""
    of, request = with_samplers(Parameter()), Request(prompt="a", sampler="Euler b")
    assert (
        lack(request, of, fit(request, of, DRAWN))
        == "it has no sampler 'Euler b' (the nearest: Euler a, LMS, DPM++ 2M)"
    )
    request.sampler = "DPM++ 2M Exponential"
    assert lack(request, of, fit(request, of, DRAWN)) == ""
    of, request = model(sampler=Parameter()), Request(prompt="a", sampler="Euler b")
    assert lack(request, of, fit(request, of, DRAWN)) == ""


def test_the_usual_sampler_may_be_missing() -> None:
    """U3, R1: who asked for it may forbid that another one is taken; whoever asked for none is only told."""
    of = with_samplers(Parameter(default="Heun"))
    dropped = ("sampler", "Heun", "", "DROPPED")
    asked, open_ = (Request(prompt="a", sampler=sampler, on_unsupported=REFUSE) for sampler in ("Heun", ""))
    changed, noted = fit(asked, of, DRAWN), fit(open_, of, DRAWN)
    assert (told(changed), forbidden(asked, changed.adjustments), changed.notes) == ([dropped], ["sampler"], ())
    assert ([as_told(each) for each in noted.notes], told(noted)) == ([dropped], [])
    assert changed.parameters == noted.parameters == {}
    assert lack(asked, of, changed) == lack(open_, of, noted) == ""


def test_what_is_chosen_for_a_sampler_is_told_once() -> None:
    """R1: an entry's own choices go before; the one change is told from what was asked to what is sent."""
    of = with_samplers(Parameter(choices=SAMPLERS, default="DPM++ 2M Karras"))
    result = fit(Request(prompt="a", sampler="Heun"), of, DRAWN)
    assert result.parameters == {"sampler": "DPM++ 2M", "scheduler": "karras"}
    assert told(result) == [("sampler", "Heun", "DPM++ 2M, scheduler karras", "SUBSTITUTED")]
    assert result.notes == ()
    gone = with_samplers(Parameter(choices=("DDIM",), default="DDIM"))
    assert told(fit(Request(prompt="a", sampler="Heun"), gone, DRAWN)) == [("sampler", "Heun", "", "DROPPED")]


def test_what_finding_a_pose_does_not_read_is_a_note() -> None:
    """R1, P3: that a prompt goes unread is told and no reason to refuse; no sampler is missing for it."""
    task = generation_pb2.PoseExtraction(image=PHOTO)
    request = Request(prompt="a", sampler="Euler b", pose_extraction=task, must_keep=["negative_prompt"])
    of = with_samplers(Parameter())
    result = fit(request, of, DRAWN)
    assert [as_told(each) for each in result.notes] == [("prompt", "a", "", "DROPPED")]
    assert (lack(request, of, result), forbidden(request, result.adjustments)) == ("", [])


def test_long_texts_are_cut_and_shown_short() -> None:
    """R1: a text over the model's length is cut, and the adjustment shows how long both were."""
    result = fitted(Request(prompt="a", negative_prompt="é" * 900), negative_prompt=Parameter(maximum=500))
    assert result.parameters == {"negative_prompt": "é" * 500}
    [(_, requested, applied, action)] = told(result)
    assert action == "CLAMPED"
    assert requested.endswith("… (900 characters)")
    assert applied.endswith("… (500 characters)")
    assert len(requested) == len(applied) == 256


@pytest.mark.parametrize(
    ("value", "text"), [(3, "3"), (3.5, "3.5"), (0.1 + 0.2, "0.3"), (2**63 - 1, str(2**63 - 1)), ("x", "x")]
)
def test_text_of(value: Value, text: str) -> None:
    """Values are shown as people write them."""
    assert text_of(value) == text
