"""The status board."""

from pathlib import Path

from playwright.async_api import Browser, expect

from imagegate.edge.routers import Routers
from imagegate.testing.fronted import ALICE, OPERATOR, serving_edge
from imagegate.testing.sandboxed import serving_sandboxed
from imagegate.testing.serving import serving_router

from .conftest import ROUTES, Stage
from .visitor import Visitor, visiting

SICK = {"upstream": "huggingface", "fault": "status", "code": 500, "body": {"error": "the lamp is out"}}


async def _generate(stage: Stage, times: int) -> None:
    async with stage.edge.session() as alice:
        for number in range(times):
            async with alice.post("/api/generations", json={"prompt": f"a lamp {number}"}) as answer:
                assert answer.status == 200


async def test_a_fault_is_seen_as_it_happens_and_as_it_heals(visitor: Visitor, stage: Stage) -> None:
    """R11: the board shows a sick provider within seconds, in the upstream's words, and that it works again."""
    await visitor.enter(ALICE, "status")
    card = visitor.page.get_by_role("article", name="huggingface")
    await expect(card).to_contain_text("working")
    stage.sandbox.faults([SICK])
    await _generate(stage, 6)
    await expect(card).to_contain_text("breaker open")
    await expect(card).to_contain_text("the lamp is out")
    await expect(card.get_by_text("left").first).to_be_visible()
    await visitor.shoot("status-fault-light", whole=True)
    await visitor.check_access()
    stage.sandbox.faults([])
    stage.clock.leap(30)
    await _generate(stage, 4)
    await expect(card).not_to_contain_text("breaker open")
    await expect(card).to_contain_text("working")
    visitor.check_calm()


async def test_an_operator_decides_about_a_breaker_and_takes_it_back(visitor: Visitor, stage: Stage) -> None:
    """R11: an operator keeps everybody away from a provider, with a reason for all to see, and lets them back."""
    page = visitor.page
    await visitor.enter(OPERATOR, "status")
    card = page.get_by_role("article", name="huggingface")
    await card.get_by_role("button", name="Breaker… huggingface", exact=True).click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("button", name="Decide").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("Say why")
    await dialog.get_by_label("Why").fill("maintenance tonight")
    await dialog.get_by_label("For how many minutes").fill("5")
    await dialog.get_by_role("button", name="Decide").click()
    await expect(card).to_contain_text("held open")
    await expect(card).to_contain_text("olga: “maintenance tonight”")
    await _generate(stage, 1)
    assert [each.model for each in await stage.edge.house.gallery.page("alice")] == ["flux-schnell"]
    assert (await stage.edge.house.gallery.page("alice"))[0].provider == "fal"
    await card.get_by_role("button", name="Take back huggingface", exact=True).click()
    await page.get_by_role("button", name="Take it back").click()
    await expect(card).not_to_contain_text("held open")
    visitor.check_calm()


async def test_who_is_no_operator_cannot_decide(visitor: Visitor) -> None:
    """P12: a user sees how everything is doing, and no way to change it."""
    await visitor.enter(ALICE, "status")
    await expect(visitor.page.get_by_role("article", name="fal")).to_be_visible()
    await expect(visitor.page.get_by_role("button", name="Breaker")).to_have_count(0)


async def test_each_router_is_looked_at_by_itself_and_decisions_reach_all(browser: Browser, tmp_path: Path) -> None:
    """R11: with several routers one chooses whose view to see; what an operator decides reaches every one of them."""
    async with (
        serving_sandboxed() as sandboxed,
        serving_router(sandboxed.targets, ROUTES) as first,
        serving_router(sandboxed.targets, ROUTES) as second,
    ):

        async def replicas() -> list[str]:
            return [first.target, second.target]

        async def admins() -> list[str]:
            return [f"127.0.0.1:{router.admin_port}" for router in (first, second)]

        async with (
            serving_edge(first.target, tmp_path, routers=Routers(replicas, admins)) as edge,
            visiting(browser, edge.url) as visitor,
        ):
            page = visitor.page
            await visitor.enter(OPERATOR, "status")
            await page.get_by_role("button", name="Breaker… fal", exact=True).click()
            await page.get_by_label("Why").fill("a drill")
            await page.get_by_role("button", name="Decide").click()
            await expect(page.get_by_text("Decided on all 2 routers.")).to_be_visible()
            for target in (first.target, second.target):
                await page.get_by_role("radio", name=target).check()
                await expect(page.get_by_role("article", name="fal")).to_contain_text("held open")
            visitor.check_calm()
