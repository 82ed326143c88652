"""Router and provider as processes of their own, told by their environment only."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from imagegate.client import AsyncAdminClient, AsyncClient, GenerationError
from imagegate.client.process import ADMIN_LISTENING, Process
from imagegate.runtime.errors import Reason
from imagegate.runtime.metrics import ProcessMetrics
from imagegate.runtime.redaction import Redactor
from imagegate.runtime.registry import Registry
from imagegate.runtime.server import serving
from imagegate.testing.certificates import Authority
from imagegate.testing.serving import SETTINGS

PORTS = dict.fromkeys(("IMAGEGATE_PORT", "IMAGEGATE_HTTP_PORT", "IMAGEGATE_ADMIN_PORT"), "0")
CONFIGURATION = """
providers: {{sketch: {{target: "127.0.0.1:{port}"}}}}
routes: {{default: [sketch/sketch]}}
callers: {{web: {{weight: 4}}, olga: {{role: operator}}}}
"""


def identity(folder: Path, authority: Authority, name: str) -> dict[str, str]:
    """The environment of a process with mutual TLS."""
    cert, key = authority.issue(name).write(folder, name)
    ca = str(folder / "ca.crt")
    own = {"IMAGEGATE_TLS_CERT_FILE": str(cert), "IMAGEGATE_TLS_KEY_FILE": str(key)}
    return {**own, "IMAGEGATE_TLS_CLIENT_CA_FILE": ca, "IMAGEGATE_TLS_CA_FILE": ca}


@asynccontextmanager
async def running(environ: Mapping[str, str], *module: str) -> AsyncIterator[Process]:
    ours = {"PATH": "/usr/bin:/bin", "IMAGEGATE_DRAIN_SECONDS": "0", "IMAGEGATE_GRACE_SECONDS": "1", **PORTS}
    process = await Process.start(module[0], ["-m", *module], {**ours, **environ}, lambda _name, _line: None)
    try:
        yield process
    finally:
        process.signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            await process.wait()


async def probed(environ: Mapping[str, str], http: Any) -> int:
    """The exit code of the container's probe."""
    own = {**environ, "IMAGEGATE_HTTP_PORT": str(http)}
    asked = await asyncio.create_subprocess_exec(sys.executable, "-m", "imagegate.runtime.probe", env=own)
    return await asked.wait()


async def test_variables_are_all_it_takes(tmp_path: Path) -> None:
    """S13: mutual TLS from the caller to the provider, callers by their certificates, and the container's probe."""
    authority = Authority()
    (tmp_path / "ca.crt").write_bytes(authority.pem)
    provider_environ = {**identity(tmp_path, authority, "provider-sketch"), "IMAGEGATE_ALLOWED_CALLERS": "router"}
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(running(provider_environ, "imagegate.providers", "sketch"))
        at = await provider.listening()
        (tmp_path / "imagegate.yaml").write_text(CONFIGURATION.format(port=at["grpc"]))
        own = {**identity(tmp_path, authority, "router"), "IMAGEGATE_CONFIG": str(tmp_path / "imagegate.yaml")}
        router = await stack.enter_async_context(running(own, "imagegate.router"))
        admin, listening = await router.listening(ADMIN_LISTENING), await router.listening()
        web, stranger = (
            {"ca": tmp_path / "ca.crt", "cert": cert, "key": key, "token": ""}
            for cert, key in (authority.issue(name).write(tmp_path, name) for name in ("web", "stranger"))
        )
        target = f"127.0.0.1:{listening['grpc']}"
        async with AsyncClient(target, **web) as client:
            assert (await client.generate("a fox", timeout=30)).provider == "sketch"
        for address, fields, reason in (
            (target, stranger, Reason.UNAUTHENTICATED),
            (f"127.0.0.1:{at['grpc']}", web, Reason.UNAUTHENTICATED),
        ):
            async with AsyncClient(address, **fields) as client:
                with pytest.raises(GenerationError) as refused:
                    await client.generate("a fox", timeout=30)
            assert refused.value.reason is reason
        async with AsyncAdminClient(f"127.0.0.1:{admin['grpc']}", **web) as client:
            with pytest.raises(GenerationError) as refused:
                await client.list_overrides()
        assert refused.value.reason is Reason.NOT_ALLOWED
        assert await probed(own, listening["http"]) == 0
        assert await probed(own, 1) == 1


@pytest.mark.parametrize(("bind", "warnings"), [("0.0.0.0", 1), ("127.0.0.1", 0)])
async def test_a_port_in_the_clear_that_others_reach_is_told_once(bind: str, warnings: int) -> None:
    """Clusters with a mesh may; nobody does it without knowing."""
    settings = SETTINGS.model_copy(update={"bind": bind})
    with capture_logs() as lines:
        async with serving([], settings, ProcessMetrics(Registry()), Redactor()):
            pass
    assert [line["event"] for line in lines].count("in_the_clear") == warnings
