"""What the edge reads from its environment."""

from pathlib import Path

import pytest

from imagegate.edge.settings import LINK_KEYS_VARIABLE, PREFIX, EdgeSettings
from imagegate.runtime.settings import SettingsError, data_folder, is_loopback

README = Path(__file__).parents[3] / "gateway/README.md"


def test_every_variable_stands_in_the_readme() -> None:
    """Nobody has to read code to find a switch."""
    names = [f"{PREFIX}{field.alias}" for field in EdgeSettings.model_fields.values() if field.alias]
    told = README.read_text()
    assert [name for name in [*names, LINK_KEYS_VARIABLE] if f"`{name}`" not in told] == []


def test_every_wrong_variable_is_named_at_once() -> None:
    """R10: one start is enough to learn what is wrong."""
    with pytest.raises(SettingsError) as caught:
        EdgeSettings.of({"IMAGEGATE_EDGE_PORT": "http", "IMAGEGATE_EDGE_TIMEOUT": "0"})
    assert "IMAGEGATE_EDGE_PORT" in str(caught.value)
    assert "IMAGEGATE_EDGE_TIMEOUT" in str(caught.value)


def test_what_is_kept_has_one_folder() -> None:
    """IMAGEGATE_DATA, else what the system has for it."""
    assert data_folder({"IMAGEGATE_DATA": "/data"}) == Path("/data")
    assert EdgeSettings.of({"IMAGEGATE_DATA": "/data"}).data == Path("/data")
    assert data_folder({}).name == "imagegate"


@pytest.mark.parametrize("bind", ["127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost"])
def test_a_loopback_address_is_reached_from_here_only(bind: str) -> None:
    """P12: only there a key may be made up."""
    assert is_loopback(bind)


@pytest.mark.parametrize("bind", ["0.0.0.0", "::", "10.0.0.7", "localhost.example.com", "", "host"])
def test_any_other_address_may_be_reached_from_elsewhere(bind: str) -> None:
    """P12: where it is not sure, keys are needed."""
    assert not is_loopback(bind)
