"""What is kept of an order."""

from typing import Any, cast

import pytest

from imagegate.client import AsyncClient
from imagegate.edge.caller import Caller, Role
from imagegate.edge.gallery import Gallery
from imagegate.edge.generating import Generating, Order, asked
from imagegate.v1 import router_pb2


class Listens(AsyncClient):
    """A client that remembers what it was told."""

    async def explain(self, prompt: str, **told: Any) -> router_pb2.Explanation:  # type: ignore[override]
        self.told = told
        return router_pb2.Explanation()


@pytest.mark.parametrize(("tier", "told"), [("", "pro"), ("free", "free")])
async def test_whose_it_is_and_what_they_may_is_nothing_that_a_caller_says(tier: str, told: str) -> None:
    """P12, S28: the router hears of the key's user, its tier and the call's own id, whatever an order says of them."""
    async with Listens("127.0.0.1:1") as client:
        generating = Generating(client, cast(Gallery, None), lambda user, count: None)
        order = Order("a", fields={"user": "bob", "tier": "pro", "request_id": "theirs"}, idempotency_key="k")
        await generating.explain(Caller("alice", Role.USER, tier), "r-1", order)
        assert (client.told["user"], client.told["request_id"], client.told["tier"]) == ("alice", "r-1", told)
        assert client.told["idempotency_key"] not in ("", "k")


def test_of_pictures_only_where_they_were_is_kept() -> None:
    """P10: the parameters of a record hold no bytes, and nothing empty; pictures stand as the API takes them."""
    fields = {
        "width": 0,
        "sampler": None,
        "must_keep": [],
        "image_to_image": {"image": b"123", "strength": 0.5},
        "controls": [{"type": "OPENPOSE", "image": "template:standing"}, {"image": "https://example.org/a.png"}],
    }
    assert asked(fields) == {
        "width": 0,
        "image_to_image": {"image": {"data": "(3 bytes)"}, "strength": 0.5},
        "controls": [
            {"type": "OPENPOSE", "image": {"template": "standing"}},
            {"image": {"uri": "https://example.org/a.png"}},
        ],
    }
