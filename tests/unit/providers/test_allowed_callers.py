"""Whom a provider lets in."""

import pytest

from imagegate.providers.__main__ import guard_of
from imagegate.runtime.settings import SettingsError

MUTUAL = {
    "IMAGEGATE_TLS_CERT_FILE": "/c",
    "IMAGEGATE_TLS_KEY_FILE": "/k",
    "IMAGEGATE_TLS_CLIENT_CA_FILE": "/ca",
}
GENERATE = "imagegate.v1.GenerationService/Generate"


def test_names_are_of_certificates_that_are_asked_for() -> None:
    """S13: names without mutual TLS would let in nobody, or mean nothing: the process does not start."""
    with pytest.raises(SettingsError, match="IMAGEGATE_TLS_CLIENT_CA_FILE"):
        guard_of({"IMAGEGATE_ALLOWED_CALLERS": "router"})


def test_without_names_everybody_is_let_in() -> None:
    """Nothing changes on one machine; with mutual TLS the authority decides."""
    assert not guard_of({}).will_refuse(GENERATE, [])
    assert not guard_of(MUTUAL).will_refuse(GENERATE, [])


def test_a_provider_knows_no_keys() -> None:
    """A key is the router's business: one that comes along here is wrong."""
    guard = guard_of({**MUTUAL, "IMAGEGATE_ALLOWED_CALLERS": "router, spiffe://imagegate/router"})
    assert guard.will_refuse(GENERATE, [("authorization", "Bearer ig_EXAMPLE")])
    assert not guard.will_refuse(GENERATE, [])
