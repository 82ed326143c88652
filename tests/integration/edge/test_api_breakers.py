"""What an operator decides about breakers, through the edge, at every router replica."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from imagegate.edge.routers import Routers
from imagegate.testing import House, ScriptedProvider, ServedRouter, serving_provider, serving_router
from imagegate.testing.fronted import OPERATOR, ServedEdge, serving_edge
from imagegate.v1 import router_pb2

OPEN = {"provider": "a", "mode": "OPEN", "minutes": 30, "reason": "it draws nonsense"}
NOBODY = "127.0.0.1:1"


@asynccontextmanager
async def edge_over(folder: Path, routers: Sequence[ServedRouter], *more: str) -> AsyncIterator[ServedEdge]:
    """An edge that finds the admin ports of these routers, and these ones."""
    admins = [f"127.0.0.1:{router.admin_port}" for router in routers]

    async def find_admins() -> Sequence[str]:
        return [*admins, *more]

    async def find() -> Sequence[str]:
        return [router.target for router in routers]

    async with serving_edge(routers[0].target, folder, routers=Routers(find, find_admins)) as edge:
        yield edge


@asynccontextmanager
async def two_routers() -> AsyncIterator[list[ServedRouter]]:
    async with (
        serving_provider(ScriptedProvider("a")) as served,
        serving_router({"a": served.target}, {"default": ["a/model"]}) as one,
        serving_router({"a": served.target}, {"default": ["a/model"]}) as other,
    ):
        yield [one, other]


async def decision(router: ServedRouter) -> router_pb2.BreakerOverride | None:
    """What is decided about provider a at this router."""
    async with router.stubs() as (_, stub):
        [provider] = (await stub.GetStatus(router_pb2.GetStatusRequest())).providers
    return provider.override if provider.HasField("override") else None


async def asked(edge: ServedEdge, method: str, key: str = OPERATOR, **more: Any) -> tuple[int, dict[str, Any]]:
    async with edge.session(key) as session, session.request(method, "/api/breakers", **more) as answer:
        return answer.status, await answer.json()


async def test_a_decision_reaches_every_replica(tmp_path: Path) -> None:
    """R11, S14: a decision holds at every replica, in the name of whoever's key it was; so does taking it back."""
    async with two_routers() as routers, edge_over(tmp_path, routers) as edge:
        status, told = await asked(edge, "POST", json=OPEN)
        assert (status, [each["done"] for each in told["replicas"]]) == (200, [True, True])
        assert len({each["address"] for each in told["replicas"]}) == 2
        for router in routers:
            made = await decision(router)
            assert made is not None
            assert (made.mode, made.actor, made.reason) == (router_pb2.OVERRIDE_MODE_OPEN, "olga", OPEN["reason"])
        status, told = await asked(edge, "DELETE", params={"provider": "a"})
        assert (status, [each["done"] for each in told["replicas"]]) == (200, [True, True])
        assert [await decision(router) for router in routers] == [None, None]


async def test_a_decision_appears_on_the_board(house: House, tmp_path: Path) -> None:
    """P10: what was decided through the edge is on its own board within seconds."""
    await house.build([])
    async with (
        edge_over(tmp_path, [house.router]) as edge,
        edge.session(OPERATOR) as olga,
        asyncio.timeout(10),
    ):
        assert (await asked(edge, "POST", json={**OPEN, "model": "model", "mode": "OBSERVE_ONLY"}))[0] == 200
        while True:
            async with olga.get("/api/status") as answer:
                [replica] = (await answer.json())["replicas"]
            if replica["reachable"] and "override" in replica["status"]["providers"][0]["models"][0]:
                break
            await asyncio.sleep(0.05)
    assert replica["status"]["providers"][0]["models"][0]["override"]["mode"] == "OBSERVE_ONLY"


async def test_who_could_not_be_told_is_named(tmp_path: Path) -> None:
    """R11: where some replicas took the decision the answer says which did not, and why."""
    async with two_routers() as routers, edge_over(tmp_path, routers, NOBODY) as edge:
        status, told = await asked(edge, "POST", json=OPEN)
        assert status == 200
        assert [each["done"] for each in told["replicas"]].count(True) == 2
        [failed] = [each for each in told["replicas"] if not each["done"]]
        assert failed["address"] == NOBODY
        assert "no router's admin port answers" in failed["problem"]


async def test_a_decision_that_nobody_took_is_no_success(house: House, tmp_path: Path) -> None:
    """R11: where no replica could be told the answer is an error that says so."""
    await house.build([])
    async with serving_edge(house.router.target, tmp_path, admin=NOBODY) as edge:
        status, told = await asked(edge, "POST", json=OPEN)
        assert (status, told["reason"]) == (502, "UNREACHABLE")
        assert NOBODY in told["detail"]


async def test_what_the_router_refuses_is_told_as_its_own(house: House, tmp_path: Path) -> None:
    """R11: a provider that no router knows, and a decision that nobody made, are not found."""
    await house.build([])
    async with edge_over(tmp_path, [house.router]) as edge:
        status, told = await asked(edge, "POST", json={**OPEN, "provider": "unheard-of"})
        assert (status, "no provider is called 'unheard-of'" in told["detail"]) == (404, True)
        status, told = await asked(edge, "DELETE", params={"provider": "a"})
        assert (status, "nothing is decided about a" in told["detail"]) == (404, True)


async def test_what_is_wrong_with_a_decision_is_told_at_once(house: House, tmp_path: Path) -> None:
    """P12, S28: all bad fields at once; who decides, and where, is not the body's to say."""
    await house.build([])
    async with edge_over(tmp_path, [house.router]) as edge:
        body = {"provider": "", "mode": "AJAR", "minutes": 1e400, "reason": "x" * 201, "actor": "root", "address": "h"}
        status, told = await asked(edge, "POST", data=_json(body), headers={"Content-Type": "application/json"})
        assert (status, {each["field"] for each in told["errors"]}) == (400, set(body))
        status, told = await asked(edge, "DELETE", params={"modl": "m"})
        assert (status, {each["field"] for each in told["errors"]}) == (400, {"provider", "modl"})


async def test_only_operators_decide(house: House, tmp_path: Path) -> None:
    """P12, S14: a user's key decides nothing, and hears nothing about who could have."""
    await house.build([])
    async with edge_over(tmp_path, [house.router]) as edge:
        for method, more in (("POST", {"json": OPEN}), ("DELETE", {"params": {"provider": "a"}})):
            for key, expected in (("ig_alice_EXAMPLE", 403), ("", 401)):
                assert (await asked(edge, method, key, **more))[0] == expected
        assert await decision(house.router) is None


def _json(body: dict[str, Any]) -> bytes:
    """As a client writes it that does not shy away from numbers without end."""
    return str(body).replace("'", '"').replace("inf", "1e400").encode()
