"""How a router is reached: what is said, else what the environment says."""

from pathlib import Path

import pytest

from imagegate.client.transport import TransportFields, transport_of
from imagegate.runtime.settings import SettingsError
from imagegate.testing.certificates import Authority


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """The variables of three good files."""
    authority = Authority()
    cert, key = authority.issue("me").write(tmp_path)
    (tmp_path / "ca.crt").write_bytes(authority.pem)
    own = {"IMAGEGATE_TLS_CERT_FILE": str(cert), "IMAGEGATE_TLS_KEY_FILE": str(key)}
    return own | {"IMAGEGATE_TLS_CA_FILE": str(tmp_path / "ca.crt")}


def test_without_a_word_it_is_in_the_clear() -> None:
    """Nothing changes on one machine."""
    assert transport_of({}, {}).files is None


@pytest.mark.parametrize(
    ("fields", "environ", "is_tls"),
    [
        ({}, {"IMAGEGATE_TLS": "true"}, True),
        ({"tls": False}, {"IMAGEGATE_TLS": "true"}, False),
        ({"tls": True}, {}, True),
        ({"tls": True}, {"IMAGEGATE_TLS": "false"}, True),
        ({}, {"IMAGEGATE_TLS": ""}, False),
    ],
)
def test_what_is_said_counts_more_than_the_environment(
    fields: TransportFields, environ: dict[str, str], is_tls: bool
) -> None:
    """An argument wins over its variable."""
    assert (transport_of(fields, environ).files is not None) is is_tls


def test_whom_to_believe_means_tls(files: dict[str, str]) -> None:
    """By an argument or by the variable; a server's own certificate alone does not."""
    ca = files["IMAGEGATE_TLS_CA_FILE"]
    assert transport_of({}, files).files is not None
    assert transport_of({"ca": ca}, {}).files is not None
    assert transport_of({}, {name: value for name, value in files.items() if "CA" not in name}).files is None


def test_a_certificate_and_its_key_are_given_together(files: dict[str, str]) -> None:
    """One that is given is not paired with the environment's key."""
    with pytest.raises(SettingsError, match="go together"):
        transport_of({"cert": files["IMAGEGATE_TLS_CERT_FILE"]}, files)
    with pytest.raises(SettingsError, match="holds no certificates"):
        transport_of({"ca": files["IMAGEGATE_TLS_KEY_FILE"]}, {})
