"""The names that somebody may have meant."""

from time import monotonic

from imagegate.runtime.nearest import nearest


def test_nearest() -> None:
    """R7: an unknown name is answered with the three that look most like it, in any case."""
    known = ["flux-dev", "flux-schnell", "flux-pro", "sdxl", "aura-flow"]
    assert nearest("Flux-Shnell", known)[0] == "flux-schnell"
    assert nearest("fluxdev", known)[0] == "flux-dev"
    assert len(nearest("zzz", known)) == 3
    assert nearest("x", []) == []


def test_nearest_to_a_megabyte() -> None:
    """R7: a name of a megabyte costs no time: it is compared by its beginning."""
    began = monotonic()
    assert nearest("flux-dev" + "flux-dev" * 200_000, ["flux-dev", "sdxl", "lms"] * 50)
    assert monotonic() - began < 1
