"""The demo, as `make demo` runs it."""

import os
import subprocess
import sys
import time
from pathlib import Path

ROUTER_OUTCOMES = ("MODEL_ACCESS_DENIED", "UPSTREAM_ERROR", "delivered")


def test_the_demo_shows_every_fallback_in_under_a_minute(tmp_path: Path) -> None:
    """R1, R10: model fallback, then provider fallback twice, then the error that names each attempt; three pictures."""
    began = time.monotonic()
    # Whatever a developer has set must not change it.
    environ = {**os.environ, "IMAGEGATE_CONFIG": "/nowhere", "FAL_KEY": "real:key", "IMAGEGATE_ROUTER": "127.0.0.1:1"}
    command = [sys.executable, "-m", "imagegate.sandbox.demo", "--out", str(tmp_path / "pictures")]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert time.monotonic() - began < 60
    files = [path for path in (tmp_path / "pictures").iterdir() if path.suffix in {".png", ".jpg", ".webp"}]
    assert len(files) == 3
    for path in files:
        assert str(path) in done.stdout
    for outcome in ROUTER_OUTCOMES:
        assert outcome in done.stdout
    last = done.stdout.rpartition("4. ")[2]
    for candidate in ("huggingface/flux-schnell", "fal/flux-pro", "automatic1111/local"):
        assert f"{candidate} UPSTREAM_ERROR" in last
    assert done.stderr == ""


def test_the_demo_says_where_it_cannot_write() -> None:
    """A wrong folder is one sentence and exit code 1."""
    command = [sys.executable, "-m", "imagegate.sandbox.demo", "--out", "/proc/pictures"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("demo: pictures cannot be written")
    assert done.stderr.count("\n") == 1
