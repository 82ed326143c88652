"""Who has which key, while keys come and go."""

import os
from pathlib import Path

import pytest

from imagegate.edge.caller import Caller, Role
from imagegate.edge.keys import Keyring, hashed
from imagegate.runtime.settings import Secret, SettingsError

OLD, NEW = "ig_old_EXAMPLE", "ig_new_EXAMPLE"


def document(*entries: tuple[str, str]) -> str:
    return "keys:\n" + "".join(f"  - {{user: {user}, sha256: {hashed(key)}}}\n" for user, key in entries)


class Written:
    """A text that a test writes anew."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __call__(self) -> str:
        return self.text


def test_a_user_may_have_several_keys() -> None:
    """P12: a new key is added, put into use, and the old one removed, without a moment in which none holds."""
    written = Written(document(("alice", OLD)))
    keyring = Keyring(written)
    assert (keyring.caller(OLD), keyring.caller(NEW)) == (Caller("alice"), None)
    written.text = document(("alice", OLD), ("alice", NEW))
    assert keyring.caller(OLD) == keyring.caller(NEW) == Caller("alice")
    written.text = document(("alice", NEW))
    assert (keyring.caller(OLD), keyring.caller(NEW)) == (None, Caller("alice"))


def test_a_role_and_a_tier_come_with_the_key() -> None:
    """P12: what a key is for, and the dearest models that it may use, stand beside it."""
    text = f"keys: [{{user: olga, role: operator, tier: pro, sha256: {hashed(OLD)}}}]"
    assert Keyring(lambda: text).caller(OLD) == Caller("olga", Role.OPERATOR, "pro")


@pytest.mark.parametrize("text", ["", "keys: []", "keys: [{user: alice, sha256: 12}]", "keys: [", "[]"])
def test_a_bad_text_keeps_what_was_there(text: str) -> None:
    """P12: an operator's slip locks nobody out; it is shown until it is mended."""
    good = document(("alice", OLD))
    written = Written(good)
    keyring = Keyring(written)
    written.text = text
    assert keyring.caller(OLD) == Caller("alice")
    assert not keyring.is_current
    written.text = document(("alice", NEW))
    assert (keyring.caller(OLD), keyring.caller(NEW)) == (None, Caller("alice"))
    assert keyring.is_current


@pytest.mark.parametrize("text", ["", "keys: []", "keys: [{user: Alice, sha256: 12}]"])
def test_it_does_not_start_with_a_bad_text(text: str) -> None:
    """A process without a single key that holds says so at once."""
    with pytest.raises(SettingsError, match="IMAGEGATE_EDGE_KEYS"):
        Keyring(lambda: text)


def test_a_key_belongs_to_one_user() -> None:
    """P12: the same key under two names would be whoever's stands last: the file is refused."""
    with pytest.raises(SettingsError, match="the same key is there twice"):
        Keyring(lambda: document(("alice", OLD), ("bob", OLD)))


def test_what_is_wrong_is_told_without_what_is_there() -> None:
    """R14: somebody may have put the key itself in its hash's place."""
    with pytest.raises(SettingsError) as told:
        Keyring(lambda: f"keys: [{{user: alice, sha256: {OLD}, secret: {NEW}}}]")
    assert OLD not in str(told.value)
    assert NEW not in str(told.value)


def test_a_changed_file_holds_from_the_next_call_on(tmp_path: Path) -> None:
    """P12: a revoked key is refused by the next call, without a restart."""
    file = tmp_path / "keys.yaml"
    file.write_text(document(("alice", OLD)))
    keyring = Keyring.of(Secret("KEYS", {"KEYS_FILE": str(file)}, lambda _value: None))
    assert keyring.caller(OLD) == Caller("alice")
    other = tmp_path / "other.yaml"
    other.write_text(document(("alice", NEW)))
    os.replace(other, file)  # noqa: PTH105 - as Kubernetes does it
    assert (keyring.caller(OLD), keyring.caller(NEW)) == (None, Caller("alice"))
    file.unlink()
    assert keyring.caller(NEW) == Caller("alice")
    assert not keyring.is_current


@pytest.mark.parametrize("key", ["", "x" * 257, OLD.upper(), OLD + " ", OLD[:-1]])
def test_nothing_but_the_key_itself_is_one(key: str) -> None:
    """S21: an empty, an endless or a nearly right key is nobody's."""
    assert Keyring(lambda: document(("alice", OLD))).caller(key) is None
