"""What Debian's Prometheus sees of a system that runs, and of what happens to it."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from imagegate.client import GenerationError
from imagegate.client.process import Process, log_event
from imagegate.testing.system import System, system
from observability.panels import ROWS

from .prometheus import scraping

pytestmark = pytest.mark.usefixtures("prometheus")
# What has nothing to show where nobody was refused, limited or mistaken.
EMPTY_WHERE_ALL_IS_WELL = {
    "Certificates",
    "Models that refuse every input",
    "Configurations",
    "Not asked for",
    "Refused accounts",
    "Attempts after one that may be charged, in an hour",
    "Skips by reason",
    "Adjustments in an hour",
    "Phases of upstreams, p95",
}


def jobs(running: System) -> dict[str, str]:
    return {name: member.http.removeprefix("http://") for name, member in running.members.items()}


@asynccontextmanager
async def edge(router: str, folder: Path) -> AsyncIterator[tuple[str, str]]:
    """An edge as a process of its own: where it has its metrics, and its web address."""
    environ = {
        "PATH": os.environ["PATH"],
        "IMAGEGATE_ROUTER": router,
        "IMAGEGATE_DATA": str(folder),
        "IMAGEGATE_EDGE_PORT": "0",
        "IMAGEGATE_PORT": "0",
        "IMAGEGATE_HTTP_PORT": "0",
        "IMAGEGATE_DRAIN_SECONDS": "0",
    }
    lines: list[str] = []
    process = await Process.start("edge", ["-m", "imagegate.edge"], environ, lambda _, line: lines.append(line))
    try:
        async with asyncio.timeout(30):
            event = await process.listening()
        (web,) = [said["http"] for line in lines if (said := log_event(line)).get("event") == "edge_listening"]
        yield f"127.0.0.1:{event['http']}", f"http://127.0.0.1:{web}"
    finally:
        process.signal(signal.SIGTERM)
        await process.ended()


@pytest.mark.timeout(300)
async def test_everything_on_the_dashboard_has_its_numbers(tmp_path: Path) -> None:
    """P11: after a few pictures every expression of the dashboard gives numbers, labelled as its legend has it."""
    (tmp_path / "edge").mkdir()
    quota = {"IMAGEGATE_HUGGINGFACE_REQUESTS_PER_DAY": "1000"}
    async with (
        system(quota) as running,
        edge(running.members["router"].address, tmp_path / "edge") as (metrics, web),
        scraping({**jobs(running), "edge": metrics}, tmp_path) as prometheus,
    ):
        running.sandbox.faults([{"upstream": "huggingface", "fault": "status", "code": 500, "times": 3}])
        async with running.client() as client, aiohttp.ClientSession(web) as browser:

            async def lacking() -> list[str]:
                """What is not shown yet, after one more picture."""
                await client.generate("a fox")
                await (await browser.get("/api/me")).read()
                return [
                    f"{panel.title}: {query.expr}"
                    for row in ROWS
                    for panel in row.panels
                    for query in panel.queries
                    if panel.title not in EMPTY_WHERE_ALL_IS_WELL
                    if not _is_shown(query.legend, await prometheus.query(query.expr))
                ]

            await prometheus.until_nothing(lacking, within=60)
        assert await prometheus.firing() == []


def _is_shown(legend: str, result: Sequence[Mapping[str, Any]]) -> bool:
    labels = set(re.findall(r"\{\{(\w+)\}\}", legend))
    return bool(result) and all(labels <= series["metric"].keys() for series in result)


@pytest.mark.timeout(300)
async def test_a_provider_that_dies_is_told_within_a_minute_and_until_it_is_back(tmp_path: Path) -> None:
    """P11: a killed provider fires ImagegateProcessDown and ImagegateBreakerOpen in their time, and nothing about
    anybody else; both end when it is back.
    """
    async with system(providers=["huggingface", "fal"]) as running, scraping(jobs(running), tmp_path) as prometheus:

        async def all_are_up() -> bool:
            return len(await prometheus.query("up == 1")) == len(running.members)

        async def told() -> set[tuple[str, str]]:
            """Which alerts fire about whom, of the two."""
            return {
                (each["alertname"], each.get("provider", each.get("job", "")))
                for each in await prometheus.firing()
                if each["alertname"] in ("ImagegateProcessDown", "ImagegateBreakerOpen")
            }

        async def both_are_told() -> bool:
            return await told() == {("ImagegateProcessDown", "fal"), ("ImagegateBreakerOpen", "fal")}

        async def nothing_is_told() -> bool:
            return not await told()

        await prometheus.until(all_are_up, within=20)
        running.kill("fal")
        async with running.client() as client:
            for _ in range(5):
                with pytest.raises(GenerationError):
                    await client.generate("a fox", model="fal/flux-schnell")
            seconds = await prometheus.until(both_are_told, within=80)
            assert seconds > 45  # not at once: whoever is only restarted is nobody's concern
            await running.restart("fal")

            async def is_back() -> bool:
                try:
                    await client.generate("a fox", model="fal/flux-schnell")
                except GenerationError:
                    return False
                return await nothing_is_told()

            await prometheus.until(is_back, within=60)
