"""The way out to places that somebody else names, as the environment configures it."""

import ipaddress

import pytest

from imagegate.providers.fal import provider as fal
from imagegate.providers.huggingface import provider as huggingface
from imagegate.runtime.connecting import Network
from imagegate.runtime.settings import SettingsError


def test_our_own_places_come_from_the_environment() -> None:
    """S1: IMAGEGATE_NEVER_FETCH names ranges and names; without it there are none."""
    own = Network.of({"IMAGEGATE_NEVER_FETCH": "2a00:1450::/32,images.example.com"}).own
    assert own.ranges == (ipaddress.ip_network("2a00:1450::/32"),)
    assert own.names == ("images.example.com",)
    assert Network.of({}) == Network()


@pytest.mark.parametrize("create", [fal.create, huggingface.create])
def test_providers_keep_away_from_them(create: object) -> None:
    """S1: a provider reads it as well: its upstream names addresses. What is wrong in it keeps it from starting."""
    assert callable(create)
    with pytest.raises(SettingsError, match="IMAGEGATE_NEVER_FETCH"):
        create({"IMAGEGATE_NEVER_FETCH": "10.0.0.1/8"}, lambda _: None)
