"""Keys of the edge, and the entries that stand for them."""

import re

import pytest

from imagegate.client import key
from imagegate.edge.caller import Caller
from imagegate.edge.keys import Keyring, entries_of
from imagegate.runtime.bearer import new_key


def test_no_key_is_made_twice_and_scanners_find_it() -> None:
    """256 random bits behind a prefix that nothing else begins with."""
    made = {new_key() for _ in range(100)}
    assert len(made) == 100
    assert all(re.fullmatch(r"ig_[A-Za-z0-9_-]{43}", each) for each in made)


@pytest.mark.parametrize("role", key.Role)
@pytest.mark.parametrize("tier", ["", "free", "basic", "pro", "enterprise"])
@pytest.mark.parametrize("user", ["alice", "7", "null", "true", "1e3", "a.b-c_d"])
def test_the_edge_takes_every_entry_that_is_made_here(role: key.Role, tier: str, user: str) -> None:
    """What is printed goes into the keys file as it is, and the edge then knows whose key it is."""
    made = new_key()
    document = key.as_document(key.entry(made, user, role, tier=tier, note="my 'laptop': {[ # \"new\", é"))
    assert made not in document
    assert Keyring(lambda: document).caller(made) == Caller(user, role, tier)
    assert entries_of(document)[0].note == "my 'laptop': {[ # \"new\", é"


def test_a_key_of_any_bytes_is_only_not_known() -> None:
    """What a header brings along may be no text at all."""
    document = key.as_document(key.entry(new_key(), "alice"))
    assert Keyring(lambda: document).caller(b"ig_\xff\xfe".decode(errors="surrogateescape")) is None


def test_several_entries_stand_below_one_another() -> None:
    """A file of several keys is the lines of several entries."""
    lines = [key.as_yaml(key.entry(new_key(), user)) for user in ("alice", "bob")]
    assert [each.user for each in entries_of("keys:\n" + "\n".join(lines))] == ["alice", "bob"]
