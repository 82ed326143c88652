"""What somebody typed is text, wherever it is shown."""

import pytest
from playwright.async_api import expect

from imagegate.testing.fronted import ALICE

from .conftest import Stage
from .visitor import Visitor

HOSTILE = [
    "<img src=x onerror=\"window.taken='img'\">",
    "\"><script>window.taken='script'</script>",
    "</title><svg onload=window.taken='svg'>",
    "javascript:window.taken='address'//<a href='javascript:window.taken=1'>x</a>",
]


@pytest.mark.parametrize("words", HOSTILE)
async def test_hostile_words_are_shown_and_never_run(visitor: Visitor, stage: Stage, words: str) -> None:
    """P10: a prompt, a project and an upstream's words with markup in them stand as text in every view."""
    refusal = {"upstream": "huggingface", "fault": "status", "code": 500, "body": {"error": f"no: {words}"}}
    stage.sandbox.faults([refusal])
    page = visitor.page
    await visitor.enter(ALICE)
    await page.get_by_label("Project").fill(words)
    await visitor.make(words)
    await visitor.go("gallery")
    await page.get_by_role("button").filter(has=page.get_by_role("img", name=words, exact=True)).click()
    record = page.get_by_role("dialog")
    await expect(record.locator(".record-prompt")).to_have_text(words)
    await expect(record.get_by_text(words, exact=True)).to_have_count(2)  # the prompt and the project
    await page.keyboard.press("Escape")
    await visitor.go("status")
    await expect(page.get_by_role("article", name="huggingface").locator("blockquote").first).to_be_visible()
    await visitor.go("make")
    assert await page.evaluate("window.taken") is None
    assert await page.locator("img[src=x], main script, [onerror], [onload]").count() == 0
    assert await page.title() == "Make – imagegate"
    visitor.check_calm()
