"""How a test scripts the sandbox and asks what happened: `/_faults`, `/_requests`, `/_billing`, and `/` as an index."""

import json
from collections.abc import Iterable

from aiohttp import web

from imagegate.sandbox.faults import BadRulesError, Faults
from imagegate.sandbox.ledger import Ledger


class Control:
    """The sandbox's own paths; they are neither recorded nor spoilt."""

    def __init__(self, faults: Faults, ledger: Ledger, index: dict[str, object]) -> None:
        self._faults = faults
        self._ledger = ledger
        self._index = index

    def routes(self) -> Iterable[web.RouteDef]:
        return [
            web.get("/", self._show_index),
            web.put("/_faults", self._put_faults),
            web.get("/_faults", self._get_faults),
            web.delete("/_faults", self._delete_faults),
            web.get("/_requests", self._get_requests),
            web.delete("/_requests", self._delete_requests),
            web.get("/_billing", self._get_billing),
        ]

    async def _show_index(self, _: web.Request) -> web.Response:
        return web.json_response(self._index)

    async def _put_faults(self, request: web.Request) -> web.Response:
        try:
            self._faults.replace(json.loads(await request.read()))
        except json.JSONDecodeError as error:
            return web.json_response({"error": f"not JSON: {error}"}, status=400)
        except BadRulesError as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response(self._faults.rules())

    async def _get_faults(self, _: web.Request) -> web.Response:
        return web.json_response(self._faults.rules())

    async def _delete_faults(self, _: web.Request) -> web.Response:
        self._faults.replace([])
        return web.json_response([])

    async def _get_requests(self, _: web.Request) -> web.Response:
        return web.json_response(self._ledger.requests())

    async def _delete_requests(self, _: web.Request) -> web.Response:
        self._ledger.forget_requests()
        return web.json_response([])

    async def _get_billing(self, _: web.Request) -> web.Response:
        return web.json_response(self._ledger.billing())
