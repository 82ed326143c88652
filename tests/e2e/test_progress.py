"""What is to be seen while a picture is made."""

import pytest
from playwright.async_api import expect

from imagegate.sandbox.app import Pace
from imagegate.testing.fronted import ALICE

from .conftest import Stage
from .visitor import Visitor


@pytest.fixture
def pace() -> Pace:
    """A webui at which one can watch."""
    return Pace(automatic1111_step=0.2)


async def test_steps_and_an_unfinished_picture_are_shown_as_they_come(visitor: Visitor) -> None:
    """R8: a model that tells its steps fills a bar, and the picture is seen before it is finished."""
    page = visitor.page
    await visitor.enter(ALICE)
    await page.get_by_role("button", name="Model:").click()
    await page.get_by_role("searchbox", name="Search the models").fill("loaded webui")
    await page.get_by_role("radio", name="automatic1111/local").check()
    await page.get_by_role("button", name="Use it").click()
    await visitor.ask("a mountain")
    progress = page.get_by_role("region", name="Progress", exact=True)
    await expect(progress).to_contain_text("Step ")
    assert await progress.get_by_role("progressbar").get_attribute("value") is not None
    await visitor.shoot("steps-light")
    await visitor.check_access()
    await visitor.made()
    visitor.check_calm()


async def test_a_model_that_is_warming_up_says_how_long(visitor: Visitor, stage: Stage) -> None:
    """R8: a cold model is shown as warming, with its estimate counting down, and then makes the picture."""
    loading = {"upstream": "huggingface", "method": "POST", "fault": "loading", "seconds": 3, "times": 1}
    silent_hub = {"upstream": "huggingface-hub", "fault": "status", "code": 503}  # then the estimate is all there is
    stage.sandbox.faults([loading, silent_hub])
    page = visitor.page
    await visitor.enter(ALICE)
    await visitor.ask("a cold morning")
    progress = page.get_by_role("region", name="Progress", exact=True)
    await expect(progress).to_contain_text("warming up")
    await visitor.shoot("warming-light")
    await visitor.made()
    visitor.check_calm()
