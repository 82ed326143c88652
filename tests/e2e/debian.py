"""What the tests of this folder need of the machine, mostly by the Debian package that has it.

`python tests/e2e/debian.py` prints a line for each that is lacking: its name and the reason; with `--packages` only the
names of those that apt-get has, for `.ci/run` to install.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

OLDEST_KUBECTL = 27  # minor; earlier ones know no components, and Debian 12 has 1.20


@dataclass(frozen=True, slots=True)
class Need:
    """Something that tests stand on. `elsewhere` says where it is to be had if Debian's package is not it."""

    is_here: Callable[[], bool]
    elsewhere: str = ""


def commands(*names: str) -> Need:
    """A package that brings these commands along."""
    return Need(lambda: all(_which(name) is not None for name in names))


def _which(name: str) -> str | None:
    # Where a user's PATH does not lead.
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _has_postgresql() -> bool:
    return shutil.which("postgres") is not None or any(Path("/usr/lib/postgresql").glob("*/bin/postgres"))


def _has_kubectl() -> bool:
    if shutil.which("kubectl") is None:
        return False
    asked = ("kubectl", "version", "--client", "--output", "json")
    told = subprocess.run(asked, capture_output=True, text=True, check=False)
    if told.returncode != 0:
        return False
    version = json.loads(told.stdout)["clientVersion"]
    return (int(version["major"]), int(version["minor"].rstrip("+"))) >= (1, OLDEST_KUBECTL)


def _may_start_containers() -> bool:
    # A root file system of our own (debootstrap), and namespaces.
    if os.geteuid() != 0:
        return False
    tried = ("unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "true")
    return subprocess.run(tried, capture_output=True, check=False).returncode == 0


NEEDS: Mapping[str, Need] = {
    "chromium": Need(lambda: Path("/usr/bin/chromium").exists()),
    "npm": commands("npm", "node"),
    "postgresql": Need(_has_postgresql),
    "prometheus": commands("prometheus", "promtool"),
    "kubectl": Need(_has_kubectl, f"at least 1.{OLDEST_KUBECTL} is needed: https://kubernetes.io/docs/tasks/tools/"),
    "debootstrap": commands("debootstrap"),
    "buildah": commands("buildah"),
    "podman": commands("podman"),
    "runc": commands("runc"),
    "catatonit": commands("catatonit"),
    "containers": Need(_may_start_containers, "only root may make them here, on a machine that gives it namespaces"),
}
_IMAGE = ("debootstrap", "buildah", "podman", "runc", "containers")
# The fixtures that stand on them.
FIXTURES: Mapping[str, Collection[str]] = {
    "chromium": ("chromium",),
    "node": ("npm",),
    "postgres": ("postgresql",),
    "promtool": ("prometheus",),
    "prometheus": ("prometheus",),
    "kubectl": ("kubectl",),
    "engine": _IMAGE,
    "played": (*_IMAGE, "catatonit"),
}


def needed(fixtures: Collection[str]) -> set[str]:
    """What a test with these fixtures stands on."""
    return {name for fixture in fixtures for name in FIXTURES.get(fixture, ())}


def lacking(names: Collection[str] = NEEDS.keys()) -> list[str]:
    """Those of `names` that this machine has not."""
    return [name for name, need in NEEDS.items() if name in names and not need.is_here()]


def packages(names: Iterable[str]) -> list[str]:
    """Those of `names` that apt-get has."""
    return [name for name in names if not NEEDS[name].elsewhere]


def reason(name: str) -> str:
    """Why a test goes without, in words."""
    return NEEDS[name].elsewhere or f"it is not here (apt-get install {name})"


if __name__ == "__main__":
    lines = packages(lacking()) if "--packages" in sys.argv[1:] else [f"{each} {reason(each)}" for each in lacking()]
    sys.stdout.writelines(f"{line}\n" for line in lines)
