"""How the tests run: random cases by profile, what the machine has, and no skip that is not accounted for."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from e2e import debian

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


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--without chromium` leaves out what needs that package; tests/e2e/debian.py has the names."""
    parser.addoption("--without", action="append", default=[], metavar="NAME", help="leave out what needs it")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes minutes runs with `make nightly` only, which loads that profile. Where tests need what the machine has
    not, all of it is named before anything runs.
    """
    left_out = set(config.getoption("--without"))
    if config.getoption("--hypothesis-profile") != "nightly":
        leave_out(config, items, lambda item: item.get_closest_marker("nightly") is not None)
    leave_out(config, items, lambda item: bool(needs(item) & left_out))
    needed = {name for item in items for name in needs(item)}
    missing = "".join(f"\n  {name}: {debian.reason(name)}" for name in debian.lacking(needed))
    if missing:
        pytest.exit(
            f"these tests need what is not here (--without NAME leaves out what needs it):{missing}", returncode=2
        )


def needs(item: pytest.Item) -> set[str]:
    """What a test stands on that a machine may not have."""
    return debian.needed(getattr(item, "fixturenames", ()))


def leave_out(config: pytest.Config, items: list[pytest.Item], which: Callable[[pytest.Item], bool]) -> None:
    """Take `which` of the items out, and say how many."""
    out = [item for item in items if which(item)]
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if item not in out]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """A skip whose test is not named in tests/README.md is a failure."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and f"`{item.name}`" not in SKIPS_ARE_LISTED_IN.read_text():
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and {SKIPS_ARE_LISTED_IN.name} does not list it"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What a test has measured is told, whoever ran it."""
    for report in (each for outcome in ("passed", "failed") for each in terminalreporter.getreports(outcome)):
        for name, told in report.user_properties:
            if name == "figures":
                terminalreporter.write_line(f"{report.nodeid}: {told}")
