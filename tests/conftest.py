"""How the tests run: random cases by profile, and no skip that is not accounted for."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("default", max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "nightly", max_examples=5000, deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("default")

SKIPS_ARE_LISTED_IN = Path(__file__).with_name("README.md")


@pytest.fixture(scope="session", autouse=True)
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What our processes keep is in a folder of the tests, and never among a developer's own pictures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        yield


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes minutes runs with `make nightly` only, which loads that profile."""
    if config.getoption("--hypothesis-profile") != "nightly":
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("nightly")])
        items[:] = [item for item in items if not item.get_closest_marker("nightly")]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """A skip whose test is not named in tests/README.md is a failure."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and f"`{item.name}`" not in SKIPS_ARE_LISTED_IN.read_text():
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and {SKIPS_ARE_LISTED_IN.name} does not list it"
    return report
