"""The samplers that a model tells of: found by any spelling, and never another one in their place."""

import pytest

from imagegate.runtime.samplers import Named, Samplers, Sampling, settle, shown
from imagegate.v1.generation_pb2 import ACTION_DROPPED, ACTION_TRANSLATED

KNOWN = Samplers(
    (
        Named("DPM++ 2M", ("k_dpmpp_2m",)),
        Named("Euler a", ("k_euler_a", "k_euler_ancestral")),
        Named("Euler", ("euler a",)),
        Named("LMS"),
    ),
    (Named("karras", ("Karras",)), Named("uniform"), Named("sgm_uniform", ("SGM Uniform", "SGMUniform"))),
)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("Euler a", Sampling("Euler a")),
        ("eULER A", Sampling("Euler a")),
        (" Euler a ", Sampling("Euler a")),
        ("k_euler_ancestral", Sampling("Euler a")),
        ("lms", Sampling("LMS")),
        ("DPM++ 2M Karras", Sampling("DPM++ 2M", "karras")),
        ("dpm++ 2m sgm uniform", Sampling("DPM++ 2M", "sgm_uniform")),
        ("k_dpmpp_2m SGMUniform", Sampling("DPM++ 2M", "sgm_uniform")),
        ("Karras", None),
        ("DPM++ 9M Karras", None),
        ("", None),
    ],
)
def test_a_sampler_is_found_by_any_of_its_spellings(asked: str, found: Sampling | None) -> None:
    """U3: name or alias in any case, or the name of before 1.9; anything else is unknown and is never sent."""
    assert KNOWN.find(asked) == found


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ("Eular A", ["Euler a", "Euler", "LMS"]),
        ("DPM++ 9M Karras", ["DPM++ 2M", "LMS", "Euler a"]),
    ],
)
def test_the_nearest_samplers_are_told(asked: str, names: list[str]) -> None:
    """U3: for a name that it does not have, the three of the model's own that look most like it."""
    assert KNOWN.nearest(asked) == names


@pytest.mark.parametrize(
    ("asked", "found", "applied", "action"),
    [
        ("k_euler_a", Sampling("Euler a"), None, None),
        ("DPM++ 2M Karras", Sampling("DPM++ 2M", "karras"), "DPM++ 2M, scheduler karras", ACTION_TRANSLATED),
        ("Heun", None, "", ACTION_DROPPED),
        ("Euler b", None, None, None),
    ],
)
def test_what_is_sent_and_told(asked: str, found: Sampling | None, applied: str | None, action: int | None) -> None:
    """U3, R1: another spelling is no change; only the usual sampler may be missing, since every model names it."""
    sent, change = settle(asked, KNOWN, "Heun")
    assert sent == found
    told = None if change is None else (change.parameter, change.requested, change.applied, change.action)
    assert told == (None if action is None else ("sampler", asked, applied, action))


@pytest.mark.parametrize(
    "samplers",
    [
        tuple(Named(str(number)) for number in range(201)),
        (Named("x" * 65),),
        (Named("two\nlines"),),
        (Named("x", ("y" * 65,)),),
        (Named("x", tuple(map(str, range(17)))),),
    ],
)
def test_a_catalogue_tells_all_or_nothing(samplers: tuple[Named, ...]) -> None:
    """U3, R1: what does not fit could be asked for all the same, and must not be said to be missing."""
    assert KNOWN.can_be_told
    assert not Samplers(samplers).can_be_told
    assert not Samplers(KNOWN.samplers, samplers).can_be_told


@pytest.mark.parametrize("name", ["x\n" * 128, "\x1b[31m", "🎨" * 200, "<script>"])
def test_a_hostile_name_is_shown_in_one_short_line(name: str) -> None:
    """U3, R14: what a caller calls a sampler is repeated cut, and cannot forge a line."""
    assert shown(name).isprintable()
    assert len(shown(name).encode()) < 140
