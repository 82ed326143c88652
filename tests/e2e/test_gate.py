"""Who has no key."""

from playwright.async_api import Browser, expect

from imagegate.testing.fronted import ALICE, BOB

from .conftest import Stage
from .visitor import Visitor, visiting


async def test_a_key_in_the_address_is_taken_out_of_it_at_once(visitor: Visitor) -> None:
    """P12: the key that `imagegate open` gives does not stay in the address bar, and holds in this tab."""
    await visitor.enter(ALICE)
    assert "ig_" not in visitor.page.url
    await visitor.page.reload()
    await expect(visitor.page.get_by_role("button", name="Key of alice")).to_be_visible()
    assert await visitor.page.evaluate("localStorage.getItem('imagegate.key')") is None
    visitor.check_calm()


async def test_a_refused_key_says_so_and_what_to_do(visitor: Visitor) -> None:
    """P12: who comes with a wrong key is told that, and where a right one comes from."""
    page = visitor.page
    await page.goto(f"{visitor.url}/#key=ig_wrong")
    await expect(page.get_by_role("alert")).to_contain_text("refused")
    await expect(page.get_by_role("alert")).to_contain_text("imagegate open")
    await page.get_by_label("Key", exact=True).fill("ig_other")
    await page.get_by_role("button", name="Enter").click()
    await expect(page.get_by_role("alert")).to_contain_text("not known here")
    visitor.check_calm()


async def test_a_key_that_is_remembered_holds_in_another_tab_until_it_is_forgotten(
    browser: Browser, stage: Stage
) -> None:
    """P12: only who wants it has the key kept on the device, and can have it forgotten."""
    async with visiting(browser, stage.edge.url) as visitor:
        page = visitor.page
        await page.goto(visitor.url)
        await page.get_by_label("Key", exact=True).fill(BOB)
        await page.get_by_label("Remember on this device").check()
        await page.keyboard.press("Enter")
        other = await page.context.new_page()
        await expect(page.get_by_role("button", name="Key of bob")).to_be_visible()
        await other.goto(visitor.url)
        await other.get_by_role("button", name="Key of bob").click()
        await other.get_by_role("button", name="Forget the key").click()
        await expect(other.get_by_label("Key", exact=True)).to_be_visible()
        assert await other.evaluate("localStorage.length + sessionStorage.length") == 0
