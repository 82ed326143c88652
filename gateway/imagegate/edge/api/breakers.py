"""`/api/breakers`: what an operator decides about a breaker, told to every router replica."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal

import structlog
from aiohttp import web
from pydantic import BaseModel, Field

from imagegate.client import AsyncAdminClient, GenerationError, TransportFields
from imagegate.client.replicas import ask_each
from imagegate.edge.api.answering import as_json
from imagegate.edge.api.strict import Query, Strict, Text
from imagegate.edge.body import Body, parsed
from imagegate.edge.caller import Access
from imagegate.edge.endpoint import JSON_BYTES, Call, Endpoint, tell_problem
from imagegate.edge.problem import Problem, of_error
from imagegate.runtime.errors import Reason
from imagegate.runtime.validation import MAX_NAME_CHARACTERS

log = structlog.get_logger(__name__)

MAX_MINUTES = 7 * 24 * 60

# What one replica's admin port is asked.
Question = Callable[[AsyncAdminClient], Awaitable[object]]


class Scope(Query):
    """Whose breaker: a provider's, or that of one of its models."""

    provider: Text = Field(min_length=1, max_length=MAX_NAME_CHARACTERS)
    model: Text = Field("", max_length=MAX_NAME_CHARACTERS, description="Empty for the whole provider.")


class Decision(Strict):
    """What is decided, for how long and why."""

    provider: Text = Field(min_length=1, max_length=MAX_NAME_CHARACTERS)
    model: Text = Field("", max_length=MAX_NAME_CHARACTERS, description="Empty for the whole provider.")
    mode: Literal["OPEN", "CLOSED", "OBSERVE_ONLY"]
    minutes: float = Field(60, gt=0, le=MAX_MINUTES)
    reason: Text = Field(min_length=1, max_length=200, description="For whoever looks at the status.")


class Outcome(BaseModel):
    """What became of it at one replica."""

    address: str
    done: bool
    problem: str


class Outcomes(BaseModel):
    """What became of it at every replica."""

    replicas: list[Outcome]


class Breakers:
    """Decides at every replica. `find` gives the addresses of their admin ports, `transport` is how these are
    reached.
    """

    def __init__(self, find: Callable[[], Awaitable[Sequence[str]]], transport: TransportFields) -> None:
        self._find = find
        self._transport = transport

    def endpoints(self) -> list[Endpoint]:
        """The routes."""
        path = "/api/breakers"
        shared: dict[str, Any] = {"tell": tell_problem, "access": Access.OPERATOR, "answers": Outcomes}
        return [
            Endpoint(
                "POST", path, self.decide, "Decide about a breaker", max_bytes=JSON_BYTES, takes=Decision, **shared
            ),
            Endpoint("DELETE", path, self.clear, "Take a decision back", query=Scope, **shared),
        ]

    async def decide(self, call: Call) -> web.Response:
        """Decide about a breaker for a while."""
        decision = await Body(call.request, JSON_BYTES).parsed(Decision)

        async def question(admin: AsyncAdminClient) -> object:
            return await admin.override_breaker(
                decision.provider,
                decision.model,
                mode=decision.mode,
                reason=decision.reason,
                actor=call.caller.user,
                seconds=decision.minutes * 60,
            )

        return await self._ask(call, decision.mode, decision.provider, decision.model, question)

    async def clear(self, call: Call) -> web.Response:
        """Take a decision back before its end."""
        scope = parsed(Scope, dict(call.request.query))

        async def question(admin: AsyncAdminClient) -> None:
            await admin.clear_override(scope.provider, scope.model)

        return await self._ask(call, "CLEAR", scope.provider, scope.model, question)

    async def _ask(self, call: Call, what: str, provider: str, model: str, question: Question) -> web.Response:
        async def ask(address: str) -> object:
            async with AsyncAdminClient(address, **self._transport) as admin:
                return await question(admin)

        answered, failed = await ask_each(await self._find(), ask)
        log.warning(
            "an operator has decided",
            actor=call.caller.user,
            mode=what,
            provider=provider,
            model=model,
            done=len(answered),
            failed=len(failed),
        )
        if not answered:
            raise _nobody_did_it(failed)
        outcomes = [Outcome(address=address, done=True, problem="") for address in answered]
        outcomes += [Outcome(address=address, done=False, problem=each.message) for address, each in failed.items()]
        return as_json(Outcomes(replicas=sorted(outcomes, key=lambda each: each.address)))


def _nobody_did_it(failed: dict[str, GenerationError]) -> Problem:
    """What the routers said against it, or that none could be asked."""
    refusals = [error for error in failed.values() if error.reason is Reason.INVALID_REQUEST]
    if refusals:
        return of_error(refusals[0])
    told = "; ".join(f"{address}: {error.message}" for address, error in failed.items())
    return Problem(502, str(Reason.UNREACHABLE), f"no router has taken the decision ({told})")
