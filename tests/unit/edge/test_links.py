"""Signed links: who has one may see one picture until it expires, and nobody else may."""

from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagegate.edge.links import Links
from imagegate.testing.clock import FakeClock

PATH = "/uploads/images/user-alice/1-generated.png"
SUM = "ab" * 32
PARTS = ("path", "expires", "signature", "picture_sum")


def parts_of(link: str) -> dict[str, str]:
    """What `admits` takes, out of a link."""
    path, _, query = link.partition("?")
    found = {name: values[0] for name, values in parse_qs(query, strict_parsing=True).items()}
    return {
        "path": path,
        "expires": found["expires"],
        "signature": found["signature"],
        "picture_sum": found.get("sha256", ""),
    }


def links(keys: str = "a-key", clock: FakeClock | None = None) -> Links:
    """With a day to run."""
    return Links(lambda: keys, 86_400, clock or FakeClock())


@pytest.mark.parametrize("picture_sum", ["", SUM])
def test_a_link_holds_until_it_expires(picture_sum: str) -> None:
    """P9: a link holds for a day to the second, with the picture's sum and without."""
    clock = FakeClock(1000.0)
    signer = links(clock=clock)
    link = parts_of(signer.sign(PATH, picture_sum))
    assert signer.admits(**link)
    clock.now += 86_400
    assert signer.admits(**link)
    clock.now += 1
    assert not signer.admits(**link)


@given(st.sampled_from(PARTS), st.integers(0), st.characters(), st.sampled_from(["put", "take", "change"]))
def test_no_link_that_differs_in_one_sign_is_admitted(part: str, at: int, sign: str, how: str) -> None:
    """S12: the path, the expiry, the signature, the sum: with any sign of any of them changed, added or taken away
    nobody gets in.
    """
    link = parts_of(links().sign(PATH, SUM))
    text = link[part]
    at %= len(text)
    spoilt = {
        "put": text[:at] + sign + text[at:],
        "take": text[:at] + text[at + 1 :],
        "change": text[:at] + sign + text[at + 1 :],
    }[how]
    if spoilt != text:
        assert not links().admits(**{**link, part: spoilt})


@given(st.dictionaries(st.sampled_from(PARTS), st.text()))
def test_nobody_gets_in_with_anything_else(wrong: dict[str, str]) -> None:
    """S12: whatever stands in a link's place is refused, and refused only."""
    link = parts_of(links().sign(PATH, SUM))
    assert links().admits(**{**link, **wrong}) == ({**link, **wrong} == link)


def test_the_fields_of_a_link_cannot_run_into_one_another() -> None:
    """A sum is no part of the path: no other division of the same signs is admitted."""
    link = parts_of(links().sign(f"{PATH}\n5", ""))
    assert not links().admits(PATH, "5", link["signature"])
    without = parts_of(links().sign(PATH))
    assert not links().admits(**{**without, "picture_sum": SUM})
    assert not links().admits(**{**parts_of(links().sign(PATH, SUM)), "picture_sum": ""})


def test_keys_can_be_changed_while_links_are_about() -> None:
    """The first key signs, all of them are believed; a link ends with its key."""
    keys = ["old"]
    signer = Links(lambda: " ".join(keys), 60, FakeClock())
    old = parts_of(signer.sign(PATH))
    keys[:] = ["new", "old"]
    new = parts_of(signer.sign(PATH))
    assert old != new
    assert signer.admits(**old)
    assert signer.admits(**new)
    keys[:] = ["new"]
    assert not signer.admits(**old)
    assert signer.admits(**new)


def test_while_the_keys_cannot_be_read_those_before_hold() -> None:
    """A file that is being replaced breaks no link."""
    keys = ["a-key"]
    signer = Links(lambda: " ".join(keys), 60, FakeClock())
    link = parts_of(signer.sign(PATH))
    keys.clear()
    assert signer.admits(**link)
    assert parts_of(signer.sign(PATH)) == link


def test_without_any_key_nothing_is_admitted() -> None:
    """No keys is not a key."""
    assert not Links(lambda: "", 60, FakeClock()).admits(PATH, "2000", "0" * 64)
