"""`imagegate conformance`, as somebody runs it against a provider of their own."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from imagegate.conformance.__main__ import main
from imagegate.conformance.body import load
from imagegate.providers.__main__ import create
from imagegate.runtime.redaction import Redactor
from imagegate.sandbox.app import FAULTS, Sandbox, serving
from imagegate.testing import serving_provider
from imagegate.testing.system import KEYS

SECONDS = 60.0
SOMEBODYS_RULE: dict[str, object] = {"upstream": "fal", "fault": "reset"}


async def start(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "imagegate.client", "conformance", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(os.environ),
    )


async def ended(process: asyncio.subprocess.Process) -> tuple[int | None, str, str]:
    output, errors = await asyncio.wait_for(process.communicate(), SECONDS)
    return process.returncode, output.decode(), errors.decode()


@asynccontextmanager
async def a_provider(name: str) -> AsyncIterator[tuple[str, Sandbox]]:
    """Our provider of this name, asking the sandbox."""
    async with serving() as sandbox:
        provider = create(name, {**sandbox.environment, **KEYS}, Redactor())
        async with serving_provider(provider) as served:
            yield served.target, sandbox


async def test_a_provider_that_keeps_everything() -> None:
    """S1: exit code 0, one JSON object on standard output, nothing on standard error, and the sandbox as it was."""
    async with a_provider("automatic1111") as (address, sandbox):
        sandbox.faults([SOMEBODYS_RULE])
        code, output, errors = await ended(await start(address, "--sandbox", sandbox.url, "--json"))
        assert sandbox.app[FAULTS].rules() == [SOMEBODYS_RULE]
    told = json.loads(output)
    assert (code, errors) == (0, "")
    assert (told["provider"], told["sandbox"], told["failed"]) == ("automatic1111", sandbox.url, 0)
    passed = {row["id"] for row in told["rows"] if row["verdict"] == "pass"}
    assert {f"body/{body.name}" for body in load("automatic1111").bodies} <= passed
    assert told["passed"] == len(passed)
    assert all(row.keys() == {"id", "expected", "came", "verdict", "why"} for row in told["rows"])


async def test_the_table() -> None:
    """S3: for people a table and its sum; what was not tried says why."""
    async with a_provider("sketch") as (address, sandbox):
        code, output, errors = await ended(await start(address, "--sandbox", sandbox.url))
    assert (code, errors) == (0, "")
    assert "duty" in output.splitlines()[0]
    assert "nothing is recorded of 'sketch'" in output
    assert output.splitlines()[-1].startswith(f"sketch at {address}, sandbox {sandbox.url}: ")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_who_breaks_it_off_leaves_the_sandbox_as_it_was(number: signal.Signals) -> None:
    """A hanging upstream must not stay behind, nor may somebody else's rules be lost."""
    async with a_provider("automatic1111") as (address, sandbox):
        sandbox.faults([SOMEBODYS_RULE])
        process = await start(address, "--sandbox", sandbox.url)
        async with asyncio.timeout(SECONDS):
            while "hang" not in {rule["fault"] for rule in sandbox.app[FAULTS].rules()}:
                await asyncio.sleep(0.01)
        process.send_signal(number)
        code, output, errors = await ended(process)
        assert (code, output, errors) == (130, "", "")
        assert sandbox.app[FAULTS].rules() == [SOMEBODYS_RULE]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["127.0.0.1:1", "--timeout", "0.5"], "python -m imagegate.providers"),
        (["http://127.0.0.1:1"], "HOST:PORT"),
        (["localhost"], "HOST:PORT"),
        (["127.0.0.1:1", "--sandbox", "localhost"], "--sandbox"),
        (["127.0.0.1:1", "--upstream", "fall"], "--upstream takes automatic1111, fal, huggingface"),
        (["127.0.0.1:1", "--timeout", "0"], "--timeout"),
        (["127.0.0.1:1", "--cert", "only.crt"], "a certificate and its key go together"),
    ],
)
def test_what_cannot_be_tested_is_one_sentence(
    arguments: list[str], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 and a sentence with the remedy; with --json an error object in the shape of all others."""
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert word in told.err
    assert main([*arguments, "--json"]) == 2
    assert word in json.loads(capsys.readouterr().out)["error"]["message"]
