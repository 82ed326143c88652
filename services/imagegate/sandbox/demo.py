"""`python -m imagegate.sandbox.demo`: see fallback work in a few seconds, without a key.

Starts `imagegate up` with stand-ins on free ports, asks for the same kind of picture again and again while
one upstream after the other is taken down, and shows every attempt. Ends with 1 where a step turns out
otherwise than told.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

from rich.console import Console

from imagegate.client import Client, GenerationError, Result
from imagegate.client.files import CannotWriteError, Destination
from imagegate.client.leash import leashed
from imagegate.client.output import console, print_attempts, print_result
from imagegate.runtime.settings import DATA_VARIABLE

ROUTE = "avatar"
UP = ("-m", "imagegate.client", "up", "--sandbox", "--world", "2025", "--ports", "auto", "--json")
CALL_SECONDS = 120.0
STOP_SECONDS = 10.0
# The operator's own settings would change what the demo shows, and it needs no real key.
NOT_PASSED_ON = ("IMAGEGATE_", "HUGGINGFACE_", "HF_", "FAL_", "SD_", "FLUX_MODEL")


class DemoError(Exception):
    """The demo did not go as told; the message says what happened instead."""


@dataclass(frozen=True, slots=True)
class Step:
    """One request: what is told beforehand, which upstreams are down, and which model must deliver (empty: none)."""

    story: str
    down: Sequence[str]
    prompt: str
    seed: int
    delivers: str


STEPS = (
    Step(
        "All upstreams are up. Hugging Face refuses FLUX.1-dev to a free key, so its FLUX.1-schnell draws the avatar.",
        down=(),
        prompt="avatar of a lighthouse keeper, oil painting",
        seed=1,
        delivers="huggingface/flux-schnell",
    ),
    Step(
        "Hugging Face is taken down, so fal draws the next one.",
        down=("huggingface",),
        prompt="avatar of a beekeeper, woodcut",
        seed=2,
        delivers="fal/flux-pro",
    ),
    Step(
        "fal is taken down as well, so the engine of one's own, AUTOMATIC1111, draws.",
        down=("huggingface", "fal"),
        prompt="avatar of an astronaut, watercolour",
        seed=3,
        delivers="automatic1111/local",
    ),
    Step(
        "Now everything is down: there is no picture, and the error names each attempt and what to do about it.",
        down=("huggingface", "fal", "automatic1111"),
        prompt="avatar of a violinist, charcoal",
        seed=4,
        delivers="",
    ),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Play all steps; the exit code is 1 where one turned out otherwise than told."""
    parser = argparse.ArgumentParser(prog="python -m imagegate.sandbox.demo", description=__doc__)
    parser.add_argument("--out", default="demo-pictures", metavar="FOLDER", help="where the pictures go")
    folder = parser.parse_args(arguments).out.rstrip("/") + "/"
    screen, began = console(), time.monotonic()
    try:
        destination = Destination.of(folder)
        _say(screen, "Starting stand-ins of the upstreams, the providers, the router and the edge …")
        with _up(_clean(os.environ)) as ready, Client(ready["router"], timeout=CALL_SECONDS) as client:
            for number, step in enumerate(STEPS, start=1):
                _say(screen, f"\n{number}. {step.story}", style="bold")
                _take_down(ready["sandbox"], step.down)
                _play(step, client, destination, screen)
    except (DemoError, CannotWriteError) as error:
        sys.stderr.write(f"demo: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    _say(screen, f"\nDone in {time.monotonic() - began:.0f} s; the pictures are in {folder}", style="bold green")
    return 0


def _play(step: Step, client: Client, destination: Destination, screen: Console) -> None:
    """Make the step's request and show what became of it. Raises DemoError where that is not what was told."""
    try:
        result = client.generate(step.prompt, model=ROUTE, seed=step.seed)
    except GenerationError as error:
        print_attempts(screen, error.attempts)
        _say(screen, f"{error.code.name} {error.reason}: {error.message}", style="red")
        _check_error(step, error)
    else:
        print_result(screen, result, destination.save(result.images, result.request_id))
        _check_result(step, result)


def _check_result(step: Step, result: Result) -> None:
    delivered = f"{result.provider}/{result.model}"
    if delivered != step.delivers:
        raise DemoError(f"{delivered} delivered, and {step.delivers or 'an error'} was expected")
    if not result.sandbox:
        raise DemoError(f"the picture of {delivered} does not say that it comes from the sandbox")


def _check_error(step: Step, error: GenerationError) -> None:
    if step.delivers:
        raise DemoError(f"no picture came, and {step.delivers} was expected to draw one")
    unnamed = set(step.down) - {attempt.provider for attempt in error.attempts}
    if unnamed:
        raise DemoError(f"the error does not name the attempt at {', '.join(sorted(unnamed))}")


def _take_down(sandbox: str, upstreams: Sequence[str]) -> None:
    """From now on these upstreams answer every call with 500: a 503 would ask the router not to come back soon, and
    the next step would show them skipped where it should show them failing.
    """
    rules = [{"upstream": upstream, "fault": "status", "code": 500} for upstream in upstreams]
    request = urllib.request.Request(f"{sandbox}/_faults", json.dumps(rules).encode(), method="PUT")  # noqa: S310
    with urllib.request.urlopen(request, timeout=CALL_SECONDS):  # noqa: S310 - the address is our own sandbox's
        pass


@contextmanager
def _up(environ: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """`imagegate up` with stand-ins: the line that it prints when it is ready; stopped when the block is left."""
    # Nothing of the demo is kept but the pictures that it saves.
    with tempfile.TemporaryFile("w+") as log, tempfile.TemporaryDirectory() as data:
        own = {**environ, DATA_VARIABLE: data}
        process = subprocess.Popen(leashed(*UP), env=own, stdout=subprocess.PIPE, stderr=log, text=True)  # noqa: S603
        try:
            yield _ready_line(process, log)
        finally:
            _stop(process)


def _ready_line(process: "subprocess.Popen[str]", log: IO[str]) -> dict[str, Any]:
    assert process.stdout is not None  # noqa: S101 - asked for
    line = process.stdout.readline()
    answer: dict[str, Any] = json.loads(line) if line else {}
    if answer.get("ready"):
        return answer
    log.seek(0)
    why = answer.get("error", {}).get("message") or "".join(log.readlines()[-5:]).strip() or "it said nothing"
    raise DemoError(f"`imagegate up` did not start: {why}")


def _stop(process: "subprocess.Popen[str]") -> None:
    process.terminate()
    try:
        process.communicate(timeout=STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


def _clean(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if not name.startswith(NOT_PASSED_ON)}


def _say(screen: Console, text: str, style: str = "") -> None:
    screen.print(text, style=style, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
