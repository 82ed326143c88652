"""What a benchmark ran on."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from imagegate.runtime.memory import SETTINGS

LIBRARIES = ("grpcio", "protobuf", "aiohttp", "uvloop")


def about() -> dict[str, str]:
    """The machine, the versions, the allocator's settings and the commit."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": f"{os.cpu_count()} cores, {_processor()}, Linux {platform.release()}",
        "python": f"{platform.python_version()}, {', '.join(platform.libc_ver())}",
        **{name: version(name) for name in LIBRARIES},
        "malloc": ", ".join(f"{option}: {value}" for option, value in SETTINGS),
    }


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],  # noqa: S607 - whichever git there is
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
