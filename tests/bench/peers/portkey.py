"""Portkey's gateway as it comes: one Node process, configured by a header of each request."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.asking import Ask
from bench.peers.launch import BEHAVIOURS, HANGING, HANGING_SECONDS, Launch, asking, base_url

NAME = "portkey"
PACKAGE = "node_modules/@portkey-ai/gateway"
LOOPBACK = Path(__file__).with_name("loopback.mjs")
ENVIRON = {"NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost"}


def version(home: Path) -> str | None:
    """Which one npm has put into `home`; None where there is none, or no Node to run it."""
    package = home / PACKAGE / "package.json"
    if not package.exists() or shutil.which("node") is None:
        return None
    return str(json.loads(package.read_text(encoding="utf-8"))["version"])


def launch(home: Path, folder: Path, port: int, upstream: str) -> Launch:
    """How to start the one at `home`, which keeps nothing in `folder` and hears of `upstream` from its callers only."""
    del folder, upstream
    program = home / PACKAGE / "build/start-server.js"
    return Launch(["node", "--import", LOOPBACK.as_uri(), str(program), "--headless", f"--port={port}"], ENVIRON, "/")


def asks(port: int, upstream: str) -> Mapping[tuple[str, str], Ask]:
    """What to send; a header says whom to ask at `upstream`."""
    return {
        case: asking(port, "gpt-image-1", {"x-portkey-config": json.dumps(configuration(asked, upstream))})
        for case, asked in BEHAVIOURS.items()
    }


def configuration(asked: Sequence[str], upstream: str) -> Mapping[str, Any]:
    """What the header says: whom to ask, or whom one after the other."""
    targets = [_target(behaviour, upstream) for behaviour in asked]
    return targets[0] if len(targets) == 1 else {"strategy": {"mode": "fallback"}, "targets": targets}


def _target(behaviour: str, upstream: str) -> Mapping[str, Any]:
    timeout = {"request_timeout": HANGING_SECONDS * 1000} if behaviour == HANGING else {}
    return {"provider": "openai", "api_key": "sk-upstream", "custom_host": base_url(upstream, behaviour)} | timeout
