"""What the edge is told for web backends."""

from pathlib import Path

import pytest

from imagegate.edge.settings import EdgeSettings
from imagegate.runtime.settings import SettingsError


def test_where_the_webui_is_is_told_without_its_password(tmp_path: Path) -> None:
    """P9, R14: the provider's own variable is shown as `stableDiffusion.url`; user, password and query are not."""
    environ = {"IMAGEGATE_DATA": str(tmp_path), "SD_API_URL": "http://user:secret@gpu:7860/webui?token=secret"}
    assert EdgeSettings.of(environ).webui_url == "http://gpu:7860/webui"
    assert EdgeSettings.of({"IMAGEGATE_DATA": str(tmp_path)}).webui_url == ""


def test_an_address_that_is_none_is_a_mistake_of_the_settings(tmp_path: Path) -> None:
    """R13: it is named by its variable."""
    with pytest.raises(SettingsError, match="SD_API_URL"):
        EdgeSettings.of({"IMAGEGATE_DATA": str(tmp_path), "SD_API_URL": "http://[gpu:7860"})
