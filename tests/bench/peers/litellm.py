"""LiteLLM's proxy as it comes: one worker, a master key, no database, no more logs than errors."""

import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from bench.asking import Ask
from bench.peers.launch import BEHAVIOURS, HANGING, HANGING_SECONDS, HOST, Launch, asking, base_url, behaviours

NAME = "litellm"
MASTER_KEY = "sk-benchmark"
FILE = "litellm.yaml"
# It has no telemetry to switch off; the list of prices it would fetch from the internet.
ENVIRON = {"LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}


def version(home: Path) -> str | None:
    """Which one the virtual environment at `home` has; None where it has none."""
    packages = [str(path) for path in home.glob("lib/python*/site-packages")]
    return next((each.version for each in importlib.metadata.distributions(name=NAME, path=packages)), None)


def launch(home: Path, folder: Path, port: int, upstream: str) -> Launch:
    """How to start the one at `home`, with its configuration in `folder`."""
    command = (home / "bin" / NAME, "--config", folder / FILE, "--host", HOST, "--port", port, "--num_workers", 1)
    configured = yaml.safe_dump(configuration(upstream), sort_keys=False)
    return Launch([*map(str, command)], ENVIRON, "/health/liveliness", {FILE: configured})


def asks(port: int, upstream: str) -> Mapping[tuple[str, str], Ask]:
    """What to send: the model says it all, since the URLs of `upstream` are in the configuration."""
    del upstream
    headers = {"Authorization": f"Bearer {MASTER_KEY}"}
    return {case: asking(port, first, headers) for case, (first, *_) in BEHAVIOURS.items()}


def configuration(upstream: str) -> Mapping[str, Any]:
    """A model for each behaviour of the upstream, of its name.

    With its default number of retries it answers many times later where the first upstream fails; without them its
    client for OpenAI still sends twice more, which no setting of the proxy keeps it from.
    """
    fallbacks = [{first: others} for first, *others in BEHAVIOURS.values() if others]
    return {
        "model_list": [_model(behaviour, upstream) for behaviour in behaviours()],
        "router_settings": {"num_retries": 0, "fallbacks": fallbacks},
        "general_settings": {"master_key": MASTER_KEY},
    }


def _model(behaviour: str, upstream: str) -> Mapping[str, Any]:
    parameters = {
        "model": "openai/gpt-image-1",
        "api_base": base_url(upstream, behaviour),
        "api_key": "sk-upstream",
        **({"timeout": HANGING_SECONDS} if behaviour == HANGING else {}),
    }
    return {"model_name": behaviour, "litellm_params": parameters, "model_info": {"mode": "image_generation"}}
