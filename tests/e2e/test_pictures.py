"""Making pictures, finding them again, making them again."""

import hashlib

from playwright.async_api import Page, expect

from imagegate.edge.caller import Caller
from imagegate.edge.generating import Order
from imagegate.testing.fronted import ALICE

from .conftest import Stage
from .visitor import Visitor


async def _sum_of_the_result(page: Page) -> str:
    """The SHA-256 of the bytes that the result shows."""
    href = await page.get_by_role("region", name="Result").get_by_role("link", name="Download").get_attribute("href")
    answer = await page.request.get(page.url.split("/#")[0] + str(href))
    return hashlib.sha256(await answer.body()).hexdigest()


async def test_from_the_first_visit_to_the_same_picture_again(visitor: Visitor) -> None:
    """P10: a picture is made, is in the gallery with its whole record, and again with its seed is the same bytes."""
    page = visitor.page
    await visitor.enter(ALICE)
    await page.get_by_label("Project").fill("lights")
    await visitor.make("a lighthouse")
    first = await _sum_of_the_result(page)
    await visitor.go("gallery")
    await page.get_by_role("button", name="a lighthouse").click()
    record = page.get_by_role("dialog", name="Picture")
    for told in (
        "huggingface/flux-schnell",
        "black-forest-labs/FLUX.1-schnell",
        "3 credits",
        "lights",
        first,
        "delivered",
    ):
        await expect(record).to_contain_text(told)
    await record.get_by_role("button", name="Again with this seed").click()
    await expect(page.get_by_label("What it should show")).to_have_value("a lighthouse")
    await page.keyboard.press("Enter")  # the focus is on the button that makes it
    await visitor.made()
    assert await _sum_of_the_result(page) == first
    await visitor.go("gallery")
    await expect(page.get_by_role("button", name="a lighthouse")).to_have_count(2)
    visitor.check_calm()


async def test_what_a_model_does_not_take_is_said_before_and_after(visitor: Visitor) -> None:
    """R1: what would be changed stands beside the form, what was changed beside the picture."""
    page = visitor.page
    await visitor.enter(ALICE)
    await page.get_by_text("Steps, guidance, seed and more").click()
    await expect(page.get_by_text("huggingface/flux-schnell: 1 to 4")).to_be_visible()
    await page.get_by_role("spinbutton", name="Steps").fill("99")
    await expect(page.get_by_role("region", name="What would happen")).to_contain_text("Steps 99 became 4")
    await visitor.make("a fox")
    await expect(page.get_by_role("region", name="Result")).to_contain_text("Steps 99 became 4")
    visitor.check_calm()


async def test_who_was_asked_in_vain_is_shown_in_their_own_words(visitor: Visitor, stage: Stage) -> None:
    """R5, R10: a fallback is shown with the attempt that failed, its reason and the upstream's words."""
    refusal = {"upstream": "huggingface", "fault": "status", "code": 500, "body": {"error": "the lamp is out"}}
    stage.sandbox.faults([refusal])
    page = visitor.page
    await visitor.enter(ALICE)
    await visitor.make("a lamp")
    result = page.get_by_role("region", name="Result")
    await expect(result).to_contain_text("fal/flux-schnell")
    await expect(result).to_contain_text("the lamp is out")
    await expect(result).to_contain_text("2 attempts")


async def test_with_everybody_down_each_attempt_and_its_remedy_is_shown(visitor: Visitor, stage: Stage) -> None:
    """R10: where no picture comes of it, every attempt is told, and one can try again."""
    names = ("huggingface", "fal", "automatic1111")
    stage.sandbox.faults([{"upstream": name, "fault": "status", "code": 500} for name in names])
    page = visitor.page
    await visitor.enter(ALICE)
    await visitor.ask("a storm")
    progress = page.get_by_role("region", name="Progress", exact=True)
    await expect(progress.get_by_role("alert")).to_be_visible()
    for name in names:
        await expect(progress.get_by_role("list", name="Attempts")).to_contain_text(name)
    stage.sandbox.faults([])
    stage.clock.leap(60)
    await progress.get_by_role("button", name="Try again").click()
    await visitor.made()


async def test_a_mask_is_painted_and_only_that_part_is_made_anew(visitor: Visitor, stage: Stage) -> None:
    """P3: inpainting takes a picture of the gallery and a mask that is painted on it, by mouse or by keyboard."""
    page = visitor.page
    await visitor.enter(ALICE)
    await visitor.make("a meadow")
    await page.get_by_role("button", name="Use as input").click()
    await page.get_by_role("radio", name="Inpainting").check()
    await page.get_by_role("button", name="From the gallery").click()
    await page.get_by_role("button", name="a meadow").last.click()
    canvas = page.get_by_role("application")
    await expect(canvas).to_be_visible()
    await canvas.focus()
    for key in ("Space", "ArrowRight", "ArrowRight", "ArrowDown", "Space"):
        await page.keyboard.press(key)
    await visitor.shoot("inpainting-light", whole=True)
    await visitor.make("a pond")
    sent = [each["body"] for each in stage.sandbox.requests() if "mask" in str(each["body"])]
    assert sent
    visitor.check_calm()


async def test_a_pose_is_chosen_by_its_picture(visitor: Visitor) -> None:
    """P5: the templates are pictures to choose from, and a picture keeps to the chosen one."""
    page = visitor.page
    await visitor.enter(ALICE)
    await page.get_by_role("radio", name="Pose & control").check()
    await page.get_by_role("radio", name="walking").check()
    await visitor.make("a hiker")
    await expect(page.get_by_role("region", name="Result")).to_contain_text("automatic1111/local")
    await page.get_by_role("button", name="Again with this seed").click()
    await expect(page.get_by_role("radio", name="walking")).to_be_checked()
    visitor.check_calm()


async def test_a_picture_is_deleted_after_a_question(visitor: Visitor, stage: Stage) -> None:
    """P10: deleting asks first, and then the picture is gone."""
    page = visitor.page
    await visitor.enter(ALICE)
    await visitor.make("a mistake")
    await visitor.go("gallery")
    await page.get_by_role("button", name="a mistake").click()
    await page.get_by_role("button", name="Delete").click()
    await page.get_by_role("button", name="Keep it").click()
    await page.get_by_role("dialog", name="Picture").get_by_role("button", name="Delete").click()
    await page.get_by_role("dialog", name="Delete this picture?").get_by_role("button", name="Delete").click()
    await expect(page.get_by_text("Nothing here yet")).to_be_visible()
    assert await stage.edge.house.gallery.page("alice") == []
    visitor.check_calm()


async def test_a_long_gallery_comes_as_one_scrolls(visitor: Visitor, stage: Stage) -> None:
    """P10: the latest pictures come first, the others as they are scrolled to, and a project shows only its own."""
    for number in range(33):
        order = Order(
            f"tile {number}", "automatic1111/local", {"width": 256, "height": 256, "project": "p" * (number == 0)}
        )
        await stage.edge.house.generating.generate(Caller("alice"), f"request-{number}", order)
    page = visitor.page
    await visitor.enter(ALICE, "gallery")
    tiles = page.get_by_role("list").get_by_role("img")
    await expect(tiles.first).to_have_attribute("alt", "tile 32")
    await page.keyboard.press("End")
    await expect(tiles).to_have_count(33)
    await visitor.shoot("gallery-long-light")
    await page.get_by_role("radio", name="p 1", exact=True).check()
    await expect(tiles).to_have_count(1)
    await expect(page.get_by_role("button", name="tile 0")).to_be_visible()
    visitor.check_calm()
