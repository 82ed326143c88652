"""What a process reads from its environment. All keys here are made up."""

import traceback
from collections.abc import Mapping
from pathlib import Path

import pytest

from imagegate.runtime.settings import ProcessSettings, ProviderSettings, Secret, SettingsError

KEY = "hf_madeUpKeyNumberOne"
OTHER = "hf_madeUpKeyNumberTwo_longer"


class Heard(list[str]):
    """Every value that the redactor would have been told."""

    def secret(self, environ: Mapping[str, str]) -> Secret:
        return Secret("FAL_KEY", environ, self.append)


def test_secret_from_a_variable() -> None:
    """R14: a key comes from its variable, and is heard by the redactor before it can be used."""
    heard = Heard()
    secret = heard.secret({"FAL_KEY": f" {KEY}\n"})
    assert heard == [KEY]
    assert secret.value() == KEY
    assert Heard().secret({}).value() == Heard().secret({"FAL_KEY": "", "FAL_KEY_FILE": ""}).value() == ""


def test_secret_from_a_file(tmp_path: Path) -> None:
    """R14: a key comes from the mounted file that FAL_KEY_FILE names, without the newline at its end."""
    file = tmp_path / "key"
    file.write_text(f"\ufeff{KEY}\n")
    heard = Heard()
    secret = heard.secret({"FAL_KEY_FILE": str(file)})
    assert (secret.value(), secret.value(), heard) == (KEY, KEY, [KEY])


def test_rotation(tmp_path: Path) -> None:
    """R14: a key that was rotated works at the next call, written in place or replaced by an atomic rename."""
    file = tmp_path / "key"
    file.write_text(KEY)
    heard = Heard()
    secret = heard.secret({"FAL_KEY_FILE": str(file)})
    assert secret.value() == KEY
    file.write_text(OTHER)
    assert secret.value() == OTHER
    for number in range(3):
        (tmp_path / "new").write_text(f"{KEY}{number}")
        (tmp_path / "new").replace(file)
        assert secret.value() == f"{KEY}{number}"
    assert heard == [KEY, OTHER, f"{KEY}0", f"{KEY}1", f"{KEY}2"]


def test_a_secrets_revision(tmp_path: Path) -> None:
    """R10: another key has another revision, the same key keeps it, and the revision says nothing about the key."""
    file = tmp_path / "key"
    file.write_text(KEY)
    secret = Heard().secret({"FAL_KEY_FILE": str(file)})
    first = secret.revision
    assert first == secret.revision
    file.write_text(f"{KEY}\n")
    assert secret.revision == first
    file.write_text(f"{KEY}2")
    second = secret.revision
    file.unlink()
    assert len({first, second, secret.revision}) == 3
    assert Heard().secret({"FAL_KEY": KEY}).revision != Heard().secret({"FAL_KEY": KEY}).revision


def test_rotation_of_a_mounted_secret(tmp_path: Path) -> None:
    """R14: Kubernetes replaces the link to a folder; the file behind it is read anew."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "key").write_text(f"{KEY}-{name}")
    data = tmp_path / "data"
    data.symlink_to("one")
    secret = Heard().secret({"FAL_KEY_FILE": str(data / "key")})
    assert secret.value() == f"{KEY}-one"
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").replace(data)
    assert secret.value() == f"{KEY}-two"


def test_missing_file(tmp_path: Path) -> None:
    """R10: while the file is missing or cannot be read there is no key; when it comes, it is used."""
    file = tmp_path / "key"
    secret = Heard().secret({"FAL_KEY_FILE": str(file)})
    assert secret.value() == ""
    file.mkdir()
    assert secret.value() == ""
    file.rmdir()
    file.write_bytes(b"\xff\xfe\xff")
    assert secret.value() == ""
    file.write_text(KEY)
    assert secret.value() == KEY
    file.unlink()
    assert secret.value() == ""


def test_secret_is_not_shown(tmp_path: Path) -> None:
    """R14: neither repr nor str of a secret holds the key."""
    (tmp_path / "key").write_text(KEY)
    for secret in (
        Heard().secret({"FAL_KEY": KEY}),
        Heard().secret({"FAL_KEY_FILE": str(tmp_path / "key")}),
    ):
        assert secret.value() == KEY
        assert repr(secret) == str(secret) == "<Secret FAL_KEY>"


def test_every_wrong_variable_is_named() -> None:
    """R14: all wrong variables are named at once, in full, and no value is repeated, not even in a cause."""
    environ = {"IMAGEGATE_PORT": KEY, "IMAGEGATE_LOG_LEVEL": "loud", "IMAGEGATE_REPLICAS": "0", "IMAGEGATE_BIND": "::1"}
    with pytest.raises(SettingsError) as caught:
        ProcessSettings.read(environ, "IMAGEGATE_")
    for name in ("IMAGEGATE_PORT", "IMAGEGATE_LOG_LEVEL", "IMAGEGATE_REPLICAS"):
        assert name in str(caught.value)
    assert "IMAGEGATE_BIND" not in str(caught.value)
    assert KEY not in "".join(traceback.format_exception(caught.value))


def test_defaults_and_empty_variables() -> None:
    """An empty variable counts as unset; those of others are ignored."""
    assert ProcessSettings.read({"IMAGEGATE_PORT": "", "PORT": "1", "IMAGEGATE_FAL_PORT": "2"}, "IMAGEGATE_") == (
        ProcessSettings()
    )
    read = ProcessSettings.read({"IMAGEGATE_LOG_PROMPTS": "false", "IMAGEGATE_PORT": "0"}, "IMAGEGATE_")
    assert (read.log_prompts, read.port, read.bind) == (False, 0, "127.0.0.1")


def test_provider_settings() -> None:
    """R9, R10: a provider's switch and limits are variables of its own."""
    environ = {
        "IMAGEGATE_FAL_ENABLED": "false",
        "IMAGEGATE_FAL_REQUESTS_PER_DAY": "1000",
        "IMAGEGATE_X_CONCURRENCY": "3",
    }
    read = ProviderSettings.of("fal", environ)
    assert (read.enabled, read.requests_per_day, read.requests_per_second, read.concurrency) == (
        False,
        1000,
        None,
        None,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("REQUESTS_PER_SECOND", value) for value in ("0", "-1", "inf", "nan", "x")),
        *(("REQUESTS_PER_DAY", value) for value in ("0", "1.5")),
        ("CONCURRENCY", "0"),
        ("ENABLED", "perhaps"),
    ],
)
def test_wrong_limits(name: str, value: str) -> None:
    """R9: a limit that means nothing is refused by its variable's name."""
    with pytest.raises(SettingsError, match=f"IMAGEGATE_FAL_{name}"):
        ProviderSettings.of("fal", {f"IMAGEGATE_FAL_{name}": value})
