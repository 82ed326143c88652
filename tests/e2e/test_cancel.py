"""Giving up."""

import asyncio

import pytest
from playwright.async_api import expect

from imagegate.sandbox.app import Pace
from imagegate.testing.fronted import ALICE

from .conftest import Stage
from .visitor import Visitor

WITHIN_SECONDS = 10.0


@pytest.fixture
def pace() -> Pace:
    """An upstream that takes longer than any test."""
    return Pace(fal_queue=0.1, fal_run=300)


async def test_who_cancels_stops_the_work_upstream(visitor: Visitor, stage: Stage) -> None:
    """P12: cancelling shows at once, and the upstream is told, so that nothing is made that nobody waits for."""
    stage.sandbox.faults([{"upstream": "huggingface", "fault": "status", "code": 500}])
    page = visitor.page
    await visitor.enter(ALICE)
    await visitor.ask("a long wait")
    progress = page.get_by_role("region", name="Progress", exact=True)
    await expect(progress.get_by_role("list", name="Attempts")).to_contain_text("fal/flux-schnell")
    await expect(progress.get_by_role("list", name="Attempts")).to_contain_text("huggingface/flux-schnell")
    await expect(progress).to_contain_text("Being made")
    await visitor.shoot("progress-light")
    await progress.get_by_role("button", name="Cancel").click()
    await expect(progress.get_by_text("Cancelled", exact=True)).to_be_visible()
    async with asyncio.timeout(WITHIN_SECONDS):
        while [job["state"] for job in stage.sandbox.billing()] != ["cancelled"]:
            await asyncio.sleep(0.02)
    visitor.check_calm()
