"""By phone, by keyboard, with a screen reader, in the dark."""

from typing import Any

import pytest
from playwright.async_api import Browser, expect

from imagegate.testing.fronted import ALICE, OPERATOR

from .conftest import Stage
from .visitor import DESK, PHONE, Visitor, visiting

LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": DESK},
    "dark": {"color_scheme": "dark", "viewport": DESK},
    "phone": {"color_scheme": "light", "viewport": PHONE, "has_touch": True, "is_mobile": True},
    "phone-dark": {"color_scheme": "dark", "viewport": PHONE, "has_touch": True, "is_mobile": True},
}


async def _seen(visitor: Visitor, name: str, *, whole: bool = False) -> None:
    await visitor.check_access()
    await visitor.check_width()
    await visitor.shoot(name, whole=whole)


@pytest.mark.parametrize("look", LOOKS)
async def test_nothing_keeps_anybody_out_of_any_view(browser: Browser, stage: Stage, look: str) -> None:
    """P10: axe-core finds no serious fault in any view, in light and dark, and nothing is wider than a phone."""
    async with visiting(browser, stage.edge.url, **LOOKS[look]) as visitor:
        page = visitor.page
        await page.goto(visitor.url)
        await expect(page.get_by_label("Key", exact=True)).to_be_visible()
        await _seen(visitor, f"gate-{look}")
        await visitor.enter(OPERATOR)
        await expect(page.get_by_text("Would be tried")).to_be_visible()
        await _seen(visitor, f"make-{look}")
        await page.get_by_text("Steps, guidance, seed and more").click()
        await page.get_by_text("Cost, fallback and what may change").click()
        for task in ("Image to image", "Inpainting", "Pose & control", "Identity", "Pose extraction", "Text to image"):
            await page.get_by_role("radio", name=task).check()
            await _seen(visitor, f"task-{task.lower().replace('&', 'and').replace(' ', '-')}-{look}", whole=True)
        await page.get_by_role("button", name="Model:").click()
        await _seen(visitor, f"models-{look}")
        await page.keyboard.press("Escape")
        await visitor.make("a lighthouse")
        await _seen(visitor, f"made-{look}")
        await visitor.go("gallery")
        await _seen(visitor, f"gallery-{look}")
        await page.get_by_role("button", name="a lighthouse").click()
        await _seen(visitor, f"record-{look}")
        await page.keyboard.press("Escape")
        await visitor.go("status")
        await expect(page.get_by_role("article", name="fal")).to_be_visible()
        await _seen(visitor, f"status-{look}", whole=True)
        await page.get_by_role("button", name="Breaker…").first.click()
        await _seen(visitor, f"breaker-{look}")
        visitor.check_calm()


async def test_a_picture_is_made_by_keyboard_alone(visitor: Visitor) -> None:
    """P10: from the skip link to the picture without a pointer, the focus always to be seen."""
    page = visitor.page
    await visitor.enter(ALICE)
    await page.reload()  # nothing has the focus yet
    await expect(page.get_by_text("Would be tried")).to_be_visible()
    reached: list[str] = []
    for _ in range(40):
        await page.keyboard.press("Tab")
        reached.append(await page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
        outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        radio = await page.evaluate("document.activeElement.matches('input[type=radio]')")
        assert outline != "none" or radio, reached[-1]  # around a radio, its chip has the outline
        if reached[-1] == "prompt":
            break
    assert reached[0] == "skip"
    assert reached[-1] == "prompt"
    await page.keyboard.type("a quiet harbour")
    await page.keyboard.press("Control+Enter")
    await visitor.made()
    visitor.check_calm()


async def test_the_scheme_that_was_chosen_stays(browser: Browser, stage: Stage) -> None:
    """P10: the switch goes from the system's colours to light and to dark, and this device remembers it."""
    async with visiting(browser, stage.edge.url, color_scheme="light") as visitor:
        page = visitor.page
        await visitor.enter(ALICE)
        light = await page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        for _ in range(2):
            await page.get_by_role("button", name="Colours").click()
        await page.reload()
        await expect(page.get_by_role("button", name="Colours: dark")).to_be_visible()
        assert await page.evaluate("getComputedStyle(document.documentElement).backgroundColor") != light
