"""Whoever is not Python, or not in this repository: the document's snippets, and a provider in Node."""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from imagegate.testing import serving_router
from imagegate.testing.sandboxed import serving_sandboxed
from imagegate.v1 import generation_pb2

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent / "languages"
PROTOSET = ROOT / "protos/imagegate.protoset"
INSTALL_SECONDS, RUN_SECONDS = 300, 60


def snippet(language: str) -> str:
    """The code in this language of the document."""
    found = re.search(rf"```{language}\n(.*?)```", (ROOT / "protos/README.md").read_text(), re.DOTALL)
    assert found is not None
    return found[1]


async def run(
    *command: str | Path, cwd: Path, environ: Mapping[str, str] | None = None, seconds: float = RUN_SECONDS
) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env={**os.environ, **(environ or {})},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(seconds):
        out, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), errors.decode()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the snippet and the provider in Node need, from the npm registry."""
    folder = tmp_path_factory.mktemp("node")
    for file in HERE.iterdir():
        shutil.copy(file, folder)
    install = ("npm", "install", "--no-audit", "--no-fund")
    done = subprocess.run(install, cwd=folder, check=False, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
async def router() -> AsyncIterator[str]:
    """A router over Hugging Face's stand-in, which keeps FLUX.1-dev from free keys."""
    async with serving_sandboxed(("huggingface",)) as served:
        routes = {"default": ["huggingface/flux-schnell"], "broken": ["huggingface/flux-dev"]}
        async with serving_router(served.targets, routes) as running:
            yield running.target


async def test_the_python_snippet_makes_a_picture_and_tells_why_there_is_none(router: str, tmp_path: Path) -> None:
    """S3: what the document says of Python without the SDK works as it is written."""
    script = tmp_path / "snippet.py"
    script.write_text(snippet("python"))
    environ = {"IMAGEGATE_ROUTER": router}
    code, out, errors = await run(sys.executable, script, cwd=tmp_path, environ=environ)
    assert code == 0, errors
    assert out.startswith("huggingface flux-schnell")
    assert (tmp_path / "picture").read_bytes()
    script.write_text(snippet("python").replace('prompt="a lighthouse"', 'prompt="a lighthouse", model="broken"'))
    code, _, errors = await run(sys.executable, script, cwd=tmp_path, environ=environ)
    assert code == 1
    assert "\nhuggingface/flux-dev: " in errors


async def test_the_typescript_snippet_makes_a_picture_and_tells_why_there_is_none(node: Path, router: str) -> None:
    """S3: what the document says of TypeScript compiles strictly, and works as it is written."""
    environ = {"IMAGEGATE_ROUTER": router, "PROTOSET": str(PROTOSET)}
    for name, code in (
        ("works", snippet("typescript")),
        ("fails", snippet("typescript").replace('prompt: "a lighthouse"', 'prompt: "a lighthouse", model: "broken"')),
    ):
        (node / f"{name}.ts").write_text(code)
        compile_as = ("--strict", "--target", "es2022", "--module", "nodenext", "--types", "node", "--esModuleInterop")
        done, out, errors = await run("npx", "tsc", *compile_as, f"{name}.ts", cwd=node)
        assert done == 0, out + errors
        done, out, errors = await run("node", f"{name}.js", cwd=node, environ=environ)
        if name == "works":
            assert (done, out.split()[:2]) == (0, ["huggingface", "flux-schnell"]), errors
            assert (node / "picture").read_bytes()
        else:
            assert done == 1
            assert "\nhuggingface/flux-dev: " in errors


async def test_a_provider_in_node_keeps_every_duty_and_serves_behind_the_router(node: Path) -> None:
    """S1: what speaks the protos and keeps services/PROVIDER.md is a provider, whatever it is written in."""
    process = await asyncio.create_subprocess_exec(
        "node", "provider.mjs", str(PROTOSET), cwd=node, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(RUN_SECONDS):
            target = f"127.0.0.1:{json.loads(await process.stdout.readline())['grpc']}"
        code, out, errors = await run(sys.executable, "-m", "imagegate.conformance", "--json", "--", target, cwd=node)
        assert code == 0, out + errors
        async with (
            serving_router({"gradient": target}, {"default": ["gradient/plain"]}) as served,
            served.stubs() as (generation, _),
        ):
            asked = generation_pb2.GenerateRequest(prompt="a lighthouse", width=100, steps=9)
            answer = await generation.Generate(asked, timeout=20)
        assert (answer.provider, answer.images[0].mime_type) == ("gradient", "image/png")
        assert {each.parameter for each in answer.adjustments} == {"width", "steps"}
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()
