"""The edge as an aiohttp application: the table of endpoints, and what is true around every one of them."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from time import monotonic
from typing import cast

import structlog
from aiohttp import hdrs, web

from imagegate.client import GenerationError
from imagegate.edge.admission import Admission
from imagegate.edge.body import INTAKE
from imagegate.edge.budget import Budget
from imagegate.edge.caller import Access, Caller
from imagegate.edge.endpoint import Call, Endpoint, Tell, tell_problem
from imagegate.edge.http_rules import broken_rule
from imagegate.edge.intake import IntakeBounds
from imagegate.edge.keys import Keyring
from imagegate.edge.problem import Problem, bug, not_found, of_error
from imagegate.edge.proxies import Proxies
from imagegate.edge.serving import BUDGET, REFUSAL
from imagegate.runtime.current import begin_request
from imagegate.runtime.errors import Violation
from imagegate.runtime.metrics import OTHER, ProcessMetrics
from imagegate.runtime.redaction import Redactor

log = structlog.get_logger(__name__)

NOBODY = Caller("")
REQUEST_ID = "X-Request-Id"
SERVER = "imagegate"  # the library would name its version and Python's
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
        budget: Budget | None = None,
        intake: IntakeBounds | None = None,
        is_leaving: Callable[[], bool] = lambda: False,
        proxies: Proxies | None = None,
    ) -> None:
        self._endpoints = endpoints
        self._keyring = keyring
        self._admission = admission
        self._budget = budget or Budget()
        self._intake = intake or IntakeBounds()
        self._is_leaving = is_leaving
        self._proxies = proxies or Proxies()
        self._metrics = metrics
        self._redactor = redactor

    def app(self) -> web.Application:
        """The application."""
        app = web.Application(middlewares=[self._around])
        app.on_response_prepare.append(self._protect_before_sending)
        app.on_response_prepare.append(self._end_if_leaving)
        app[BUDGET] = self._budget
        app[REFUSAL] = self._refusal
        for endpoint in (*self._endpoints, *_heads(self._endpoints)):
            app.router.add_route(
                endpoint.method, endpoint.path, self._wrapped(endpoint), name=None, expect_handler=_not_yet
            )
        return app

    @web.middleware
    async def _around(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """The answer of an endpoint, or to what has none: broken HTTP, no such path, no such method."""
        problem = broken_rule(request.version, request.method, request.raw_path, request.headers)
        if problem is None and request.match_info.http_exception is None:
            return await handler(request)
        is_broken = problem is not None
        problem = problem or _no_endpoint(cast(web.HTTPException, request.match_info.http_exception))
        tell = _family(self._endpoints, request.path)
        response = self._elsewhere(problem, self._begin(request), tell)
        if is_broken:
            response.force_close()
        return response

    async def _protect_before_sending(self, _request: web.Request, response: web.StreamResponse) -> None:
        """Whatever is sent has the headers of every answer: a stream too, which begins before its endpoint returns."""
        _protect(response)

    async def _end_if_leaving(self, _request: web.Request, response: web.StreamResponse) -> None:
        """An answer of an edge that leaves ends its connection: the next call finds another edge."""
        if self._is_leaving():
            response.force_close()
            response.headers[hdrs.CONNECTION] = "close"  # which aiohttp has decided on before it asks

    def _refusal(self, status: int, error: BaseException | None) -> web.Response:
        """The answer to what could not be parsed, or failed outside of any endpoint."""
        request_id = begin_request()
        if status >= 500:
            log.error("a call failed by a bug", path=OTHER, exc_info=error)
            return self._elsewhere(bug(), request_id, tell_problem)
        return self._elsewhere(
            Problem(status, "MALFORMED_REQUEST", "this is no HTTP request"), request_id, tell_problem
        )

    def _elsewhere(self, problem: Problem, request_id: str, tell: Tell) -> web.Response:
        """The answer to what reached no endpoint; all of it counts as one."""
        self._count(OTHER, OTHER, problem.status, 0.0)
        response = tell(problem, request_id)
        self._finish(response, problem, request_id)
        return response

    def _wrapped(self, endpoint: Endpoint) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            began = monotonic()
            request_id = self._begin(request)
            status = GONE
            request[INTAKE] = self._intake
            try:
                response = await self._answer(endpoint, request, request_id)
                status = response.status
                return response
            finally:
                self._count(endpoint.method, endpoint.path, status, monotonic() - began)

        return handle

    def _begin(self, request: web.Request) -> str:
        """The call's id: the caller's own, unless it could be a key."""
        offered = request.headers.get(REQUEST_ID, "")
        return begin_request(offered if self._redactor.scrub(offered) == offered else "")

    def _count(self, method: str, path: str, status: int, seconds: float) -> None:
        """Nothing that a caller made up: neither the address with its signature nor a path that is not ours."""
        label = OTHER if path == OTHER else f"{method} {path}"
        self._metrics.answered(label, str(status), seconds)
        log.info("http", method=method, path=path, status=status, seconds=round(seconds, 3))

    async def _answer(self, endpoint: Endpoint, request: web.Request, request_id: str) -> web.StreamResponse:
        try:
            caller = self._caller(endpoint, request)
            call = Call(request, caller, request_id, lambda: caller in (NOBODY, self._known(request)))
            with self._admitted(call, endpoint):
                response = await endpoint.handler(call)
        except GenerationError as error:
            problem = of_error(error)
        except Problem as told:
            problem = told.with_traceback(None)  # which would hold this frame, and with it the body, in a circle
        except asyncio.CancelledError:
            raise
        except ConnectionResetError:  # the client left while it was being answered
            raise asyncio.CancelledError from None
        except Exception:
            log.exception("a call failed by a bug", path=endpoint.path)
            problem = bug()
        else:
            self._finish(response, None, request_id)
            return response
        refused = endpoint.tell(self._scrubbed(problem), request_id)
        self._finish(refused, problem, request_id)
        return refused

    def _admitted(self, call: Call, endpoint: Endpoint) -> AbstractContextManager[None]:
        if not endpoint.max_bytes and not call.request.content.at_eof():
            raise Problem(413, "BODY_TOO_LARGE", "this route takes no body")
        return self._admission.admitted(call.caller, endpoint) if call.caller is not NOBODY else nullcontext()

    def _caller(self, endpoint: Endpoint, request: web.Request) -> Caller:
        if endpoint.access is Access.ANYBODY:
            return NOBODY
        caller = self._known(request)
        if caller is None:
            key = _key(request)
            if key:
                self._admission.wrong_key(self._origin(request))
            told = "this key is not known here" if key else "a key is needed: Authorization: Bearer ig_…"
            raise Problem(401, "UNAUTHENTICATED", told, headers={hdrs.WWW_AUTHENTICATE: "Bearer"})
        if not endpoint.access.admits(caller.role):
            raise Problem(403, "NOT_ALLOWED", "this takes an operator's key")
        return caller

    def _known(self, request: web.Request) -> Caller | None:
        key = _key(request)
        return self._keyring.caller(key) if key.isascii() else None

    def _origin(self, request: web.Request) -> str:
        """The address that the call comes from, as far as it can be known."""
        return self._proxies.origin(request.remote or "", request.headers.getall(hdrs.X_FORWARDED_FOR, ()))

    def _scrubbed(self, problem: Problem) -> Problem:
        scrub = self._redactor.scrub
        problem.detail = scrub(problem.detail)
        problem.violations = [Violation(scrub(each.field), scrub(each.description)) for each in problem.violations]
        return problem

    def _finish(self, response: web.StreamResponse, problem: Problem | None, request_id: str) -> None:
        """Give the answer the headers that every one has."""
        if response.prepared:
            return
        response.headers.setdefault(REQUEST_ID, request_id)
        _protect(response)
        if problem is not None:
            response.headers.update(problem.headers)
            if problem.retry_after is not None:
                response.headers[hdrs.RETRY_AFTER] = str(problem.retry_after)


def _protect(response: web.StreamResponse) -> None:
    """Give it the headers that keep a browser from doing more with it than show it, unless it brings its own."""
    response.headers[hdrs.SERVER] = SERVER
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")


async def _not_yet(_request: web.Request) -> None:
    """Who expects to be told to continue is told by whatever reads the body, if anything does."""


def _key(request: web.Request) -> str:
    scheme, _, key = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def _heads(endpoints: Sequence[Endpoint]) -> Iterator[Endpoint]:
    """HEAD of whatever has a GET: the library leaves out the body of what is answered."""
    return (replace(endpoint, method=hdrs.METH_HEAD) for endpoint in endpoints if endpoint.method == hdrs.METH_GET)


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
