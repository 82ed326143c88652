"""The catalogue: what a models.yaml may hold, and how a model travels (R1, R7, P1)."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from imagegate.runtime.models import Catalogue, Model
from imagegate.runtime.models_file import CatalogueError, load_catalogue
from imagegate.runtime.parameters import Parameter, shortest
from imagegate.runtime.samplers import Named, Samplers
from imagegate.v1 import catalog_pb2

NAMES = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True)
WORDS = st.text("abc é漢:-.0", max_size=30)
ENTRY = "display_name: D, upstream_model: u/{0}"


@st.composite
def named(draw: st.DrawFn) -> Named:
    return Named(draw(NAMES), tuple(draw(st.lists(NAMES, max_size=2))))


@st.composite
def models(draw: st.DrawFn) -> Model:
    enabled = draw(st.booleans())
    grid = draw(st.sampled_from([None, 8, 16]))
    return Model(
        provider=draw(WORDS),
        key=draw(NAMES),
        display_name=draw(WORDS),
        upstream_model=draw(WORDS),
        base_model=draw(WORDS),
        aliases=tuple(draw(st.lists(WORDS, max_size=3))),
        tier=draw(st.sampled_from(["free", "basic", "pro", "enterprise"])),
        credits=draw(st.none() | st.integers(0, 1000)),
        quality=draw(st.sampled_from(["unspecified", "sd", "hd", "ultra", "premium"])),
        typical_seconds=draw(st.sampled_from([(0.1, 0.1), (3, 15), (30.5, 60.25)])),
        use_case=draw(WORDS),
        licence_note=draw(WORDS),
        enabled=enabled,
        disabled_reason=draw(WORDS) if enabled else "coming soon",
        parameters={
            "negative_prompt": Parameter(
                default=draw(st.none() | st.just("1.0")), maximum=draw(st.none() | st.just(9))
            ),
            "width": Parameter(minimum=256, maximum=2048, multiple_of=grid, default=draw(st.none() | st.just(1024))),
            "guidance_scale": Parameter(minimum=0, default=draw(st.none() | st.floats(0, 50))),
            "seed": Parameter(maximum=draw(st.none() | st.just(2**32 - 1))),
            "sampler": Parameter(choices=("Euler a", "LMS"), default=draw(st.none() | st.just("LMS"))),
        },
        samplers=Samplers(*(tuple(draw(st.lists(named(), max_size=3))) for _ in ("samplers", "schedulers"))),
    )


def model(key: str = "m", **fields: object) -> Model:
    return Model.model_validate({"key": key, "display_name": "D", "upstream_model": f"u/{key}", **fields})


def problems(tmp_path: Path, content: str) -> str:
    file = tmp_path / "models.yaml"
    file.write_text(content)
    with pytest.raises(CatalogueError) as caught:
        load_catalogue("fal", file)
    assert str(caught.value).startswith("models.yaml of fal")
    return str(caught.value)


@given(models())
def test_round_trip(of: Model) -> None:
    """R1: a model is the same value on the other side of the wire, so that both sides fit alike."""
    told = catalog_pb2.Model.FromString(of.to_proto().SerializeToString())
    assert Model.from_proto(told) == of


def test_who_tells_no_task_makes_pictures_from_words() -> None:
    """P1: a provider that says nothing of tasks can be asked for text to image, one that says others cannot."""
    told = model().to_proto()
    told.ClearField("tasks")
    assert Model.from_proto(told).inability("text_to_image") == ""
    told.tasks.extend([catalog_pb2.TASK_IDENTITY, catalog_pb2.TASK_CONTROL_OPENPOSE])
    why = Model.from_proto(told).inability("text_to_image")
    assert why == "it does not do text to image, but identity, control openpose"
    told.ClearField("tasks")
    told.tasks.append(99)  # type: ignore[arg-type]
    assert Model.from_proto(told).inability("text_to_image")


def test_wire_stays_home() -> None:
    """R1: what only the provider's own code understands does not leave its process."""
    assert Model.from_proto(model(wire={"path": "secret/path"}).to_proto()).wire == {}


def test_what_a_newer_version_tells_is_left_out() -> None:
    """R1: fields, tasks and qualities that this version does not know cannot be asked for, and break nothing."""
    told = model(parameters={"steps": {}}).to_proto()
    told.parameters.add(name="lora_scale", minimum=0)
    told.tasks.append(99)  # type: ignore[arg-type]
    told.quality = 99  # type: ignore[assignment]
    heard = Model.from_proto(told)
    assert (set(heard.parameters), heard.tasks, heard.quality) == ({"steps"}, ("text_to_image",), "unspecified")


def test_a_price_for_something_unknown_is_not_known() -> None:
    """P7, P8: what a newer version charges by is no price for a picture, or limits would let through what they forbid;
    what it recommends by is left out.
    """
    told = model(credits=3).to_proto()
    told.priced_by = 99  # type: ignore[assignment]
    told.recommended_for = "thrifty"
    heard = Model.from_proto(told)
    assert (heard.credits, heard.recommended_for) == (None, "")


@pytest.mark.parametrize("value", ["nan", "inf", "many", "1e999"])
def test_nonsense_from_the_wire(value: str) -> None:
    """R1: a default that is no number is refused, not sent to an upstream."""
    told = model(parameters={"steps": {}}).to_proto()
    told.parameters[0].default = value
    with pytest.raises(ValueError, match=r"default|float"):
        Model.from_proto(told)


DECLARATIONS_THAT_CANNOT_BE_KEPT = [
    ("lora", {}, "no such request field: lora"),
    ("steps", {"minimum": 50, "maximum": 4}, "steps: minimum is above maximum"),
    ("steps", {"default": 60, "maximum": 50}, "steps: default lies outside the range"),
    ("steps", {"default": 4.5}, "steps: default must be a whole number"),
    ("steps", {"default": "4"}, "steps: default must be a number"),
    ("width", {"default": 1001, "multiple_of": 8}, "width: default lies outside the range, or off the grid"),
    ("width", {"minimum": 10, "maximum": 12, "multiple_of": 8}, "width: no multiple of multiple_of lies between"),
    ("width", {"minimum": 64.5}, "width: minimum, maximum and multiple_of must be whole numbers"),
    ("width", {"choices": ["512"]}, "width: a number takes no choices"),
    ("seed", {"minimum": 1}, "seed: a seed begins at 0"),
    ("seed", {"default": 42}, "seed: a seed begins at 0"),
    ("seed", {"maximum": -1}, "seed: maximum must not be below 0"),
    ("negative_prompt", {"choices": ["a"]}, "negative_prompt: choices are for a sampler"),
    ("negative_prompt", {"maximum": 0}, "negative_prompt: maximum, the number of characters"),
    ("negative_prompt", {"default": ""}, "negative_prompt: default must be a text that is not empty"),
    ("negative_prompt", {"maximum": 3, "default": "ugly"}, "negative_prompt: default is longer than maximum"),
    ("sampler", {"default": 7.5}, "sampler: default must be a text"),
    ("sampler", {"choices": ["LMS"], "default": "Euler"}, "sampler: default is not one of the choices"),
    ("sampler", {"choices": ["LMS", "lms"]}, "sampler: two choices are the same"),
    ("sampler", {"multiple_of": 2}, "sampler: a text takes neither minimum nor multiple_of"),
]


@pytest.mark.parametrize(("name", "declared", "problem"), DECLARATIONS_THAT_CANNOT_BE_KEPT)
def test_declarations_that_cannot_be_kept(name: str, declared: dict[str, object], problem: str) -> None:
    """R1: a declaration under which something wrong would be sent is refused when the file is read."""
    with pytest.raises(ValidationError) as caught:
        model(parameters={name: declared})
    assert problem in str(caught.value)


@pytest.mark.parametrize("value", [".nan", ".inf", "true", "[1]"])
@pytest.mark.parametrize("bound", ["minimum", "maximum", "multiple_of", "default"])
def test_bounds_are_finite_numbers(tmp_path: Path, bound: str, value: str) -> None:
    """R1: a bound that is no finite number is refused."""
    assert f"models.a.parameters.steps.{bound}" in problems(
        tmp_path, f"models: {{a: {{{ENTRY.format('a')}, parameters: {{steps: {{{bound}: {value}}}}}}}}}"
    )


def test_every_problem_at_once(tmp_path: Path) -> None:
    """P1: a file with many mistakes is refused once, with all of them, each named by the model's key."""
    told = problems(
        tmp_path,
        """
outside_pattern: "("
surprise: 1
models:
  first: {display_name: D, upstream_model: u, tier: gold, credits: -1, typical_seconds: [9, 3], parameters: {lora: {}}}
  second: {display_name: D, enabled: false, tasks: [juggling], parameters: {steps: {minimum: 9, maximum: 1, step: 1}}}
  Third: {display_name: D, upstream_model: u, quality: fine, colour: red, parameters: {seed: {minimum: 3}}}
outside: {tier: silver}
""",
    )
    for problem in (
        "outside_pattern: Value error, is not a regular expression",
        "surprise: Extra inputs",
        "models.first.tier:",
        "models.first.credits:",
        "models.first.typical_seconds: Value error, must be two rising numbers",
        "models.first.parameters: Value error, no such request field: lora",
        "models.second.upstream_model: Field required",
        "models.second.disabled_reason: Value error, a disabled model needs",
        "models.second.tasks.0:",
        "models.second.parameters.steps.step: Extra inputs",
        "models.Third.key:",
        "models.Third.quality:",
        "models.Third.colour: Extra inputs",
        "models.Third.parameters: Value error, seed: a seed begins at 0",
        "outside.tier:",
    ):
        assert problem in told


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "needs a mapping `models`"),
        ("- a", "needs a mapping `models`"),
        ("models: [a, b]", "needs a mapping `models`"),
        ("outside: {}", "needs a mapping `models`"),
        ("models: {a: , b: 3}\noutside: 4", "models.a: is no mapping; models.b: is no mapping; outside: is no mapping"),
        (f"models: {{a: {{{ENTRY.format('a')}, key: b, provider: c}}}}", "models.a.key: is known from"),
        ("provider: x\nmodels: {}", "provider: is known"),
        ("models: {a: [", "cannot be read"),
        ("models: !!python/object/apply:os.getcwd []", "cannot be read"),
        (f"models: {{a: {{{ENTRY.format(1)}}}, a: {{{ENTRY.format(2)}}}}}", "written more than once: a"),
        (f"models: {{a: {{{ENTRY.format(1)}, tier: free, tier: pro}}}}", "written more than once: tier"),
        (f"models: {{1: {{{ENTRY.format(1)}}}}}", "models.1.key: Input should be a valid string"),
        (f"models: {{a: {{{ENTRY.format(1)}, tasks: []}}}}", "models.a.tasks: names none"),
        (f"models: {{a: {{{ENTRY.format(1)}, samplers: {{}}}}}}", "models.a.samplers: are asked of the upstream"),
        (f"models: {{a: {{{ENTRY.format(1)}, credits: yes}}}}", "models.a.credits: Input should be a valid integer"),
        (f"models: {{a: {{{ENTRY.format(1)}, credits: '5'}}}}", "models.a.credits: Input should be a valid integer"),
    ],
)
def test_misshapen_files(tmp_path: Path, content: str, problem: str) -> None:
    """P1: a file that is no catalogue at all, or says something twice, is refused in words that help."""
    assert problem in problems(tmp_path, content)


def test_unreadable_files(tmp_path: Path) -> None:
    """P1: a file that is missing, or is no text, is refused as such."""
    with pytest.raises(CatalogueError, match="cannot be read"):
        load_catalogue("fal", tmp_path / "models.yaml")
    (tmp_path / "models.yaml").write_bytes(b"\xff\xff")
    with pytest.raises(CatalogueError, match="cannot be read"):
        load_catalogue("fal", tmp_path / "models.yaml")


def test_names_are_unique() -> None:
    """R7: no two models share a key, an upstream id or an alias; all clashes are told at once."""
    with pytest.raises(ValidationError) as caught:
        Catalogue(
            provider="p",
            models=(model("a", aliases=("x", "u/a")), model("b", aliases=("a", "x")), model("c", upstream_model="x")),
        )
    assert "a and b are both called 'a'" in str(caught.value)
    assert "a and b and c are both called 'x'" in str(caught.value)
    Catalogue(provider="p", models=(model("a", aliases=("a", "u/a")),))


def test_finding() -> None:
    """R7: a model is found by key, upstream id or alias; an empty name means the first that is switched on."""
    off = model("off", enabled=False, disabled_reason="soon")
    catalogue = Catalogue(provider="p", models=(off, model("a", aliases=("x",)), model("b")))
    assert [found.key for name in ("a", "u/a", "x", "") if (found := catalogue.find(name))] == ["a"] * 4
    assert catalogue.find("A") is catalogue.find("nope") is catalogue.find_outside("some/model") is None


@pytest.mark.parametrize(
    "nonsense",
    [
        {"typical_seconds": (1.0, 1e30)},
        {"typical_seconds": (1.0, float("inf"))},
        {"credits": 2**31 - 1},
        {"aliases": tuple(map(str, range(65)))},
        {"parameters": {"width": {"minimum": 1e300}}},
        {"parameters": {"width": {"default": 20_000}}},
        {"parameters": {"height": {"minimum": 0}}},
        {"parameters": {"guidance_scale": {"multiple_of": 1e-320}}},
        {"parameters": {"sampler": {"choices": list(map(str, range(513)))}}},
        {"samplers": {"samplers": [{"name": str(number)} for number in range(201)]}},
        {"samplers": {"schedulers": [{"name": str(number)} for number in range(201)]}},
        {"samplers": {"samplers": [{"name": ""}]}},
        {"samplers": {"samplers": [{"name": "x" * 65}]}},
        {"samplers": {"samplers": [{"name": "x", "spellings": ["y" * 65]}]}},
        {"samplers": {"samplers": [{"name": "x", "spellings": list(map(str, range(17)))}]}},
    ],
)
def test_nothing_reckoned_with_leaves_its_bounds(nonsense: dict[str, object]) -> None:
    """R1: a catalogue whose numbers would break whoever reckons with them is refused, whoever wrote it."""
    with pytest.raises(ValidationError):
        model(**nonsense)


def test_a_catalogue_is_bounded() -> None:
    """P1: a catalogue has at most 256 models."""
    Catalogue(provider="p", models=tuple(model(f"m{number}") for number in range(256)))
    with pytest.raises(ValidationError, match="at most 256"):
        Catalogue(provider="p", models=tuple(model(f"m{number}") for number in range(257)))


def test_outside_the_catalogue() -> None:
    """R7: an upstream id outside the catalogue is taken where it is allowed and looks like one."""
    catalogue = Catalogue(provider="p", outside=model("outside"), outside_pattern="[a-z]+/[a-z]+")
    found = catalogue.find_outside("some/model")
    assert found is not None
    assert (found.upstream_model, found.key) == ("some/model", "outside")
    for name in ("", "model", "some/model\n", "some/model/x", "SOME/model"):
        assert catalogue.find_outside(name) is None


@pytest.mark.parametrize(
    "changed",
    [
        Catalogue(provider="p", models=(model("a", credits=9),)),
        Catalogue(provider="p", models=(model("a", enabled=False, disabled_reason="soon"),)),
        Catalogue(provider="p", models=(model("a", parameters={"steps": {"maximum": 9}}),)),
        Catalogue(provider="p", models=(model("a", samplers={"samplers": [{"name": "LMS"}]}),)),
        Catalogue(provider="p", models=(model("a"), model("b"))),
        Catalogue(provider="p", models=(model("a"),), outside=model("outside")),
        Catalogue(provider="p", models=(model("a"),), outside=model("outside"), outside_pattern=".*"),
        Catalogue(provider="p"),
    ],
)
def test_revision(changed: Catalogue) -> None:
    """P1: the revision changes with anything a caller can see, and with nothing else."""
    revision = Catalogue(provider="p", models=(model("a"),)).revision
    assert changed.revision != revision
    assert Catalogue(provider="p", models=(model("a", wire={"x": "y"}),)).revision == revision
    outside = Catalogue(provider="p", models=(model("a"),), outside=model("outside"))
    assert changed == outside or changed.revision != outside.revision


@given(st.floats(0, 50, width=32))
def test_shortest(value: float) -> None:
    """R1: the shortest decimal number is still the same single-precision one."""
    message = catalog_pb2.Model(typical_seconds_low=shortest(value))
    assert message.typical_seconds_low == value
    assert len(repr(shortest(value))) <= len(repr(value))
