"""The edge as an aiohttp application: the table of endpoints, and what is true around every one of them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic

import structlog
from aiohttp import hdrs, web

from imagegate.client import GenerationError
from imagegate.edge.admission import Admission
from imagegate.edge.caller import Access, Caller
from imagegate.edge.endpoint import Call, Endpoint, Tell, tell_problem
from imagegate.edge.keys import Keyring
from imagegate.edge.problem import Problem, bug, not_found, of_error
from imagegate.runtime.interceptors import begin_request
from imagegate.runtime.metrics import ProcessMetrics
from imagegate.runtime.redaction import Redactor

log = structlog.get_logger(__name__)

NOBODY = Caller("")
REQUEST_ID = "X-Request-Id"
# On every answer; a page of ours adds its own policy.
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
}
GONE = 499  # what nginx writes where the client left before it was answered


class Front:
    """Answers for a table of endpoints: an id for each call, who asks, whether they may, and errors in the family's
    own shape.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        keyring: Keyring,
        admission: Admission,
        metrics: ProcessMetrics,
        redactor: Redactor,
    ) -> None:
        self._endpoints = endpoints
        self._keyring = keyring
        self._admission = admission
        self._metrics = metrics
        self._redactor = redactor

    def app(self) -> web.Application:
        """The application."""
        app = web.Application(middlewares=[self._around])
        for endpoint in self._endpoints:
            app.router.add_route(endpoint.method, endpoint.path, self._wrapped(endpoint), name=None)
        return app

    @web.middleware
    async def _around(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Everything that has no endpoint: no such path, no such method."""
        if request.match_info.http_exception is None:
            return await handler(request)
        request_id = begin_request(request.headers.get(REQUEST_ID, ""))
        problem = _no_endpoint(request.match_info.http_exception)
        return self._finished(_family(self._endpoints, request.path)(problem, request_id), problem, request_id)

    def _wrapped(self, endpoint: Endpoint) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        label = f"{endpoint.method} {endpoint.path}"

        async def handle(request: web.Request) -> web.StreamResponse:
            began = monotonic()
            request_id = begin_request(request.headers.get(REQUEST_ID, ""))
            status = GONE
            try:
                response = await self._answer(endpoint, request, request_id)
                status = response.status
                return response
            finally:
                seconds = monotonic() - began
                self._metrics.answered(label, str(status), seconds)
                log.info("http", method=endpoint.method, path=endpoint.path, status=status, seconds=round(seconds, 3))

        return handle

    async def _answer(self, endpoint: Endpoint, request: web.Request, request_id: str) -> web.StreamResponse:
        try:
            call = Call(request, self._caller(endpoint, request), request_id)
            async with self._admission.admitted(call.caller, request.remote or "", endpoint):
                response = await endpoint.handler(call)
        except GenerationError as error:
            problem = of_error(error)
        except Problem as told:
            problem = told
        except asyncio.CancelledError:
            raise
        except ConnectionResetError:  # the client left while it was being answered
            raise asyncio.CancelledError from None
        except Exception:
            log.exception("a call failed by a bug", path=endpoint.path)
            problem = bug()
        else:
            return self._finished(response, None, request_id)
        return self._finished(endpoint.tell(self._scrubbed(problem), request_id), problem, request_id)

    def _caller(self, endpoint: Endpoint, request: web.Request) -> Caller:
        if endpoint.access is Access.ANYBODY:
            return NOBODY
        self._admission.check_address(request.remote or "")
        scheme, _, key = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        caller = self._keyring.caller(key.strip()) if scheme.lower() == "bearer" else None
        if caller is None:
            if key:
                self._admission.refused(request.remote or "")
            told = "this key is not known here" if key else "a key is needed: Authorization: Bearer ig_…"
            raise Problem(401, "UNAUTHENTICATED", told, headers={hdrs.WWW_AUTHENTICATE: "Bearer"})
        if not endpoint.access.admits(caller.role):
            raise Problem(403, "NOT_ALLOWED", "this takes an operator's key")
        return caller

    def _scrubbed(self, problem: Problem) -> Problem:
        problem.detail = self._redactor.scrub(problem.detail)
        return problem

    def _finished(self, response: web.StreamResponse, problem: Problem | None, request_id: str) -> web.StreamResponse:
        if response.prepared:
            return response
        response.headers.setdefault(REQUEST_ID, request_id)
        for name, value in SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
        if problem is not None:
            response.headers.update(problem.headers)
            if problem.retry_after is not None:
                response.headers[hdrs.RETRY_AFTER] = str(problem.retry_after)
        return response


def _no_endpoint(error: web.HTTPException) -> Problem:
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        return Problem(405, "METHOD_NOT_ALLOWED", f"this takes {allowed}", headers={hdrs.ALLOW: allowed})
    return not_found("there is no such page; /openapi.json lists what there is")


def _family(endpoints: Sequence[Endpoint], path: str) -> Tell:
    """How the endpoints beside `path` tell of problems: those with the same first two segments, or with the first."""
    for parts in (2, 1):
        start = "/".join(path.split("/")[: parts + 1])
        for endpoint in endpoints:
            if start != "/" and f"{endpoint.path}/".startswith(f"{start}/"):
                return endpoint.tell
    return tell_problem
