"""Debian's Prometheus with our rules, in front of processes of ours."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import aiohttp
import yaml

from .ports import free_ports

RULES = Path(__file__).parents[2] / "deploy/observability/rules.yaml"
PROMETHEUS = shutil.which("prometheus") or "/usr/bin/prometheus"
START_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A Prometheus that runs."""

    session: aiohttp.ClientSession

    async def asked(self, path: str, **parameters: str) -> Any:
        """The data of an answer of its API. Raises AssertionError with what it says is wrong."""
        async with self.session.get(f"/api/v1/{path}", params=parameters) as answer:
            told = await answer.json()
        assert told["status"] == "success", told
        return told["data"]

    async def query(self, expression: str) -> list[Mapping[str, Any]]:
        """What an expression gives now."""
        data = await self.asked("query", query=expression)
        result: list[Mapping[str, Any]] = data["result"]
        return result

    async def firing(self) -> list[Mapping[str, str]]:
        """The labels of every alert that fires."""
        return [each["labels"] for each in (await self.asked("alerts"))["alerts"] if each["state"] == "firing"]

    async def until(self, look: Callable[[], Awaitable[bool]], within: float) -> float:
        """Wait until it is so, at most `within` seconds; the seconds that it took."""
        began = monotonic()
        while not await look():
            if monotonic() - began > within:
                raise AssertionError(f"{look.__name__} is not so within {within} s")
            await asyncio.sleep(0.5)
        return monotonic() - began

    async def until_nothing(self, lacking: Callable[[], Awaitable[Sequence[str]]], within: float) -> None:
        """Wait until nothing is lacking any more, at most `within` seconds."""
        began = monotonic()
        while found := await lacking():
            if monotonic() - began > within:
                raise AssertionError(f"lacking after {within} s: {found}")
            await asyncio.sleep(0.5)


@asynccontextmanager
async def scraping(jobs: Mapping[str, str], folder: Path) -> AsyncIterator[Prometheus]:
    """Run one that scrapes each of `jobs` (its name, and host:port) and looks at its rules every second, with what it
    keeps in `folder`.
    """
    rules = yaml.safe_load(RULES.read_text())
    for group in rules["groups"]:
        group["interval"] = "1s"  # the alerts' own times stay
    (folder / "rules.yaml").write_text(yaml.safe_dump(rules))
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [{"job_name": job, "static_configs": [{"targets": [at]}]} for job, at in jobs.items()],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    [port] = free_ports(1)
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            PROMETHEUS,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            stdout=log,
            stderr=log,
        )
        try:
            async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
                await _until_ready(session, process)
                yield Prometheus(session)
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def _until_ready(session: aiohttp.ClientSession, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(START_SECONDS):
        while process.returncode is None:
            try:
                async with session.get("/-/ready") as answer:
                    if answer.ok:
                        return
            except aiohttp.ClientConnectionError:
                pass  # not yet
            await asyncio.sleep(0.1)
    raise RuntimeError(f"Prometheus ended with exit code {process.returncode}")
