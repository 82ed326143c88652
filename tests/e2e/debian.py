"""What the tests of this folder need of the machine, by the Debian package that has it.

`python tests/e2e/debian.py` prints the packages that are lacking, for `.ci/run` to install.
"""

import shutil
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path


def _has_chromium() -> bool:
    return Path("/usr/bin/chromium").exists()


def _has_npm() -> bool:
    return shutil.which("npm") is not None and shutil.which("node") is not None


def _has_postgresql() -> bool:
    return shutil.which("postgres") is not None or any(Path("/usr/lib/postgresql").glob("*/bin/postgres"))


# The fixtures that stand on a package.
FIXTURES = {"browser": "chromium", "node": "npm", "postgres": "postgresql"}
PACKAGES: Mapping[str, Callable[[], bool]] = {"chromium": _has_chromium, "npm": _has_npm, "postgresql": _has_postgresql}


def needed(fixtures: Collection[str]) -> set[str]:
    """The packages that a test with these fixtures stands on."""
    return {package for fixture, package in FIXTURES.items() if fixture in fixtures}


def lacking() -> list[str]:
    """The packages that this machine has not."""
    return [package for package, is_here in PACKAGES.items() if not is_here()]


if __name__ == "__main__":
    sys.stdout.write(" ".join(lacking()) + "\n")
