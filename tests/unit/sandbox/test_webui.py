"""What the webui makes of a sampler's name."""

import pytest

from imagegate.sandbox.webui import find_checkpoint, resolve_sampler


@pytest.mark.parametrize(
    ("sampler", "scheduler", "used"),
    [
        ("Euler a", None, ("Euler a", "Automatic")),
        ("k_euler_a", "karras", ("Euler a", "Karras")),
        ("DPM++ 2M Karras", None, ("DPM++ 2M", "Karras")),
        ("DPM++ 2M SDE Exponential", "Automatic", ("DPM++ 2M SDE", "Exponential")),
        ("Heun", "SGM Uniform", ("Heun", "SGM Uniform")),
        ("nonsense", "nonsense", ("DPM++ 2M", "Automatic")),
        (None, None, ("Euler", "Automatic")),
    ],
)
def test_resolve_sampler(sampler, scheduler, used):
    """Names of before 1.9 are split; an unknown one silently becomes the first."""
    assert resolve_sampler(sampler, scheduler) == used


def test_find_checkpoint():
    """A checkpoint is found by title, file, name or hash."""
    found = {find_checkpoint(f"sd_xl_base_1.0{ending}") for ending in ("", ".safetensors", ".safetensors [31e35c80fc]")}
    assert found == {find_checkpoint("31e35c80fc")}
    assert find_checkpoint("sd_xl") is None
