"""Somebody who looks at the page: what they do, and everything that the browser complained of meanwhile."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

SCREENS = Path(__file__).parents[2] / "build" / "screens"
# What axe-core calls a fault that keeps people out.
GRAVE = {"serious", "critical"}
WITHIN_MILLISECONDS = 15_000
PHONE = {"width": 360, "height": 740}
DESK = {"width": 1360, "height": 900}
# A refused call is no fault of the page, but Chromium reports it like one.
REPORT_OF_A_REFUSAL = "Failed to load resource: the server responded with a status of"


@dataclass(slots=True)
class Visitor:
    """A page at the edge `url`. `complaints` has exceptions, and what the console says is wrong, CSP included."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)

    async def enter(self, key: str, view: str = "make") -> None:
        """Come with a key in the address, as `imagegate open` gives it, and go to a view."""
        await self.page.goto("about:blank")
        await self.page.goto(f"{self.url}/#key={key}")
        await expect(self.page.get_by_role("navigation", name="Main")).to_be_visible()
        await self.go(view)

    async def go(self, view: str) -> None:
        """Go to the view `make`, `gallery` or `status`."""
        await self.page.get_by_role("link", name=view.capitalize(), exact=True).click()

    async def ask(self, prompt: str) -> None:
        """Ask for a picture, without waiting for it."""
        await self.page.get_by_label("What it should show").fill(prompt)
        await self.page.keyboard.press("Control+Enter")

    async def make(self, prompt: str) -> None:
        """Ask for a picture and wait for it."""
        await self.ask(prompt)
        await self.made()

    async def made(self) -> None:
        """Wait for the picture that was asked for."""
        image = self.page.get_by_role("region", name="Result", exact=True).get_by_role("img").first
        await expect(image).to_be_visible(timeout=WITHIN_MILLISECONDS)
        assert await image.evaluate("async (image) => { await image.decode(); return image.naturalWidth > 0; }")

    async def shoot(self, name: str, *, whole: bool = False) -> None:
        """Take a picture of what is to be seen, into build/screens."""
        SCREENS.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=SCREENS / f"{name}.png", full_page=whole)

    async def check_access(self) -> None:
        """Fail where axe-core finds something that keeps people out."""
        await self.page.evaluate(
            "Promise.all(document.getAnimations().map((each) => { try { each.finish() } catch {} }))"
        )
        found = (await Axe().run(self.page)).response["violations"]
        grave = [
            (each["id"], [node["html"][:200] for node in each["nodes"]]) for each in found if each["impact"] in GRAVE
        ]
        assert not grave

    async def check_width(self) -> None:
        """Fail where one would have to scroll sideways."""
        overhang = await self.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert overhang <= 0

    def check_calm(self) -> None:
        """Fail where the browser complained."""
        assert self.complaints == []


@asynccontextmanager
async def visiting(browser: Browser, url: str, **context: Any) -> AsyncIterator[Visitor]:
    """A visitor with a browser of their own until the block is left; `context` is of Playwright's."""
    own = await browser.new_context(**{"viewport": DESK, "reduced_motion": "reduce", **context})
    try:
        page = await own.new_page()
        visitor = Visitor(page, url)
        page.on("pageerror", lambda error: visitor.complaints.append(str(error)))
        page.on("console", lambda message: _note(visitor, message.type, message.text))
        yield visitor
    finally:
        await own.close()


def _note(visitor: Visitor, kind: str, text: str) -> None:
    if kind in {"error", "warning"} and not text.startswith(REPORT_OF_A_REFUSAL):
        visitor.complaints.append(text)
