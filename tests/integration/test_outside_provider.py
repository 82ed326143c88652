"""A provider on our runtime whose folder lies outside the repository."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from imagegate.client.health import until_serving
from imagegate.client.process import Process
from imagegate.testing import serving_router
from imagegate.v1 import generation_pb2

MODELS = """
models:
  plain:
    display_name: One colour
    upstream_model: outside/plain
    tier: free
    credits: 0
    typical_seconds: [0.1, 1]
    parameters:
      width: {minimum: 64, maximum: 1024, multiple_of: 8, default: 256}
      height: {minimum: 64, maximum: 1024, multiple_of: 8, default: 256}
      seed: {minimum: 0, maximum: 4294967295}
"""
PROVIDER = """
import asyncio, io
from pathlib import Path
from PIL import Image
from imagegate.runtime.catalogue_source import CatalogueSource
from imagegate.runtime.check import Check
from imagegate.runtime.order import Delivery, Picture, one_by_one

def models(environ):
    return CatalogueSource("outside", Path(__file__).with_name("models.yaml"), environ)

def create(environ, on_secret):
    return Outside(models(environ))

def draw(seed, width, height):
    picture = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    picture.putpixel((0, 0), (seed % 256, seed // 256 % 256, seed // 65536 % 256))
    data = io.BytesIO()
    picture.save(data, "PNG")
    return data.getvalue()

class Outside:
    concurrency, key_revision, key_variable, disabled_reason, catalogue_problem = 2, "none", "", "", ""

    def __init__(self, source):
        self._models = source

    @property
    def catalogue(self):
        return self._models.current

    async def refresh(self):
        self._models.refresh()

    async def check(self, model):
        return Check("ready", exists=True, loaded=True)

    async def close(self):
        pass

    async def generate(self, order):
        order.sending()
        await order.accepted("")

        async def one(index):
            seed, size = order.seed(index), [int(order.parameters[name]) for name in ("width", "height")]
            return Picture(await asyncio.to_thread(draw, seed, *size), seed)

        return Delivery(await one_by_one(order, one))
"""


async def test_a_provider_outside_the_repository_keeps_every_duty_and_serves_behind_the_router(tmp_path: Path) -> None:
    """S1: a folder on PYTHONPATH is a provider, without a change to imagegate."""
    folder = tmp_path / "imagegate/providers/outside"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text('"""A provider of somebody else."""\n')
    (folder / "provider.py").write_text(PROVIDER)
    (folder / "models.yaml").write_text(MODELS)
    environ = {**os.environ, "PYTHONPATH": str(tmp_path), "IMAGEGATE_PORT": "0", "IMAGEGATE_HTTP_PORT": "0"}
    environ |= {"IMAGEGATE_DRAIN_SECONDS": "0", "IMAGEGATE_GRACE_SECONDS": "1"}
    lines: list[str] = []
    command = ["-m", "imagegate.providers", "outside"]
    process = await Process.start("outside", command, environ, lambda _name, line: lines.append(line))
    try:
        async with asyncio.timeout(30):
            target = f"127.0.0.1:{(await process.listening())['grpc']}"
            await until_serving(target)
        kit = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "imagegate.conformance", "--json", "--", target), stdout=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(60):
            out, _ = await kit.communicate()
        assert kit.returncode == 0, out.decode()
        async with (
            serving_router({"outside": target}, {"default": ["outside/plain"]}) as router,
            router.stubs() as (generation, _),
        ):
            answer = await generation.Generate(generation_pb2.GenerateRequest(prompt="a lighthouse"), timeout=20)
        assert (answer.provider, answer.images[0].width) == ("outside", 256)
    finally:
        process.signal(signal.SIGTERM)
        await process.wait()
