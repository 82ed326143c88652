"""A row, played: the sandbox with its fault, the real providers, and a router with them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass

import grpc

from imagegate.router.events import ChargeRisked, FellBack
from imagegate.runtime.errors import Failure, Reason
from imagegate.sandbox.app import Sandbox, serving
from imagegate.testing import ServedRouter, outcomes, picture, serving_router, told
from imagegate.testing.fronts import Front, forgetting
from imagegate.testing.sandboxed import serving_sandboxed
from imagegate.v1 import error_pb2, generation_pb2, router_pb2, terms_pb2

from .rows import FAL, HF, WEBUI, Effect, Row

MODELS = {HF: "huggingface/flux-schnell", FAL: "fal/flux-schnell", WEBUI: "automatic1111/local"}
# Who is asked after each.
SECOND = {HF: FAL, FAL: HF, WEBUI: HF}
# Where each looks for its upstream; fal's pictures lie at a host of their own.
ADDRESSES = {HF: ["HUGGINGFACE_BASE_URL"], FAL: ["FAL_QUEUE_URL", "FAL_REST_URL", "FAL_CDN_URL"], WEBUI: ["SD_API_URL"]}
# Seconds: time for every model's usual one.
PATIENT = 200.0


@dataclass(frozen=True)
class Outcome:
    """How a request ended: its code, its record, and the error or the answer."""

    code: int
    attempts: Sequence[error_pb2.Attempt]
    failure: Failure | None = None
    message: str = ""
    answer: generation_pb2.GenerateResponse | None = None

    @property
    def reasons(self) -> list[str]:
        """Each attempt as `fal TIMEOUT`, `fal OK` or, skipped, `[fal CIRCUIT_OPEN]`."""
        return outcomes(self.attempts)


@dataclass(frozen=True)
class Stage:
    """Everything of one row, running."""

    row: Row
    sandbox: Sandbox
    router: ServedRouter
    asked_before: int = 0
    made_before: int = 0

    async def ask(self, payment: "terms_pb2.Payment.ValueType", timeout: float = PATIENT) -> Outcome:
        """One request, and how it ended."""
        request = generation_pb2.GenerateRequest(prompt="a lighthouse", width=256, height=256, count=self.row.count)
        if self.row.from_picture:
            request.image_to_image.image.data = picture(256, 256)
        request.routing.payment = payment
        return await ask(self.router, request, timeout)

    async def effect(self) -> Effect | str:
        """What the router made of the one attempt at the row's upstream, by its own word."""
        status = await status_of(self.router, self.row.upstream)
        key = (self.row.model or MODELS[self.row.upstream]).partition("/")[2]
        return effect_of(status, next(model for model in status.models if model.key == key))

    @property
    def asked(self) -> int:
        """How many pictures the row's upstream was asked for."""
        return _asked(self.sandbox, self.row.upstream) - self.asked_before

    @property
    def made(self) -> int:
        """How many it made and would bill."""
        return _made(self.sandbox, self.row.upstream) - self.made_before

    @property
    def risks(self) -> int:
        """How often an attempt followed one that may be charged without having delivered."""
        return count(self.router, ChargeRisked)

    @property
    def fallbacks(self) -> int:
        """How often another candidate was tried."""
        return count(self.router, FellBack)


@asynccontextmanager
async def staged(row: Row, *others: str) -> AsyncIterator[Stage]:
    """The row's upstream with its fault, and a router whose one route has that candidate and `others`."""
    candidates = [row.model or MODELS[row.upstream], *others]
    names = [candidate.partition("/")[0] for candidate in candidates]
    limit = row.attempt if row.hangs else None
    async with serving(pace=row.pace, webui_auth=row.webui_auth) as sandbox, _front(row, sandbox) as front:
        addresses = {name: _behind(front, sandbox, name) for name in ADDRESSES[row.upstream]} if front else {}
        environ = {name: value.replace("{sandbox}", sandbox.url) for name, value in row.environ.items()}
        async with serving_sandboxed(names, sandbox=sandbox, environ={**environ, **addresses}) as served:
            if front and row.front is forgetting:
                async with serving_router(served.targets, {"default": candidates}) as before:
                    request = generation_pb2.GenerateRequest(prompt="before", width=256, height=256)
                    assert (await ask(before, request, PATIENT)).reasons == [f"{row.upstream} OK"]
                front.spoils = True
            sandbox.faults([dict(rule) for rule in row.rules])
            asked, made = _asked(sandbox, row.upstream), _made(sandbox, row.upstream)
            async with serving_router(served.targets, {"default": candidates}, attempt_timeout=limit) as router:
                yield Stage(row, sandbox, router, asked, made)


async def ask(router: ServedRouter, request: generation_pb2.GenerateRequest, timeout: float) -> Outcome:
    """One request, and how it ended."""
    async with router.stubs() as (generation, _):
        try:
            answer: generation_pb2.GenerateResponse = await generation.Generate(request, timeout=timeout)
        except grpc.aio.AioRpcError as error:
            failure = told(error)
            return Outcome(error.code().value[0], failure.attempts, failure, error.details() or "")
    return Outcome(0, answer.attempts, answer=answer)


async def status_of(router: ServedRouter, provider: str) -> router_pb2.ProviderStatus:
    """What the router says of one provider."""
    async with router.stubs() as (_, service):
        whole: router_pb2.RouterStatus = await service.GetStatus(router_pb2.GetStatusRequest(), timeout=10)
    return next(each for each in whole.providers if each.name == provider)


def effect_of(provider: router_pb2.ProviderStatus, model: router_pb2.ModelStatus) -> Effect | str:
    """The effect that the only attempt so far has had; where it is none of them, what is seen."""
    opened = router_pb2.BREAKER_STATE_OPEN
    seen = (
        provider.breaker == opened,
        model.breaker == opened,
        _skip(provider.held_back),
        _skip(model.held_back),
        provider.failure_rate if provider.HasField("failure_rate") else None,
        model.failure_rate if model.HasField("failure_rate") else None,
    )
    effects = {
        (False, False, "", "", 0.0, 0.0): Effect.DELIVERED,
        (False, False, "", "", None, None): Effect.NEUTRAL,
        (False, False, "", "", 1.0, 1.0): Effect.COUNTS,
        (False, False, "", "", 1.0, None): Effect.COUNTS_AT_PROVIDER,
        (True, False, "CIRCUIT_OPEN", "CIRCUIT_OPEN", None, None): Effect.OPENS_PROVIDER,
        (False, True, "", "CIRCUIT_OPEN", None, None): Effect.OPENS_MODEL,
        (False, False, "BACKING_OFF", "BACKING_OFF", None, None): Effect.GATES,
        (False, False, "BACKING_OFF", "BACKING_OFF", 1.0, 1.0): Effect.COUNTS_AND_GATES,
        (False, False, "", "WARMING", None, None): Effect.WARMS,
    }
    return effects.get(seen, f"{seen}")


def count(router: ServedRouter, kind: type) -> int:
    """How many events of that kind there were."""
    return sum(isinstance(event, kind) for event in router.events)


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait, for at most `seconds`, until `condition` holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def _front(row: Row, sandbox: Sandbox):  # type: ignore[no-untyped-def]
    return row.front(sandbox.url) if row.front else nullcontext()


def _behind(front: Front, sandbox: Sandbox, variable: str) -> str:
    return front.url + sandbox.environment[variable].removeprefix(sandbox.url)


def _asked(sandbox: Sandbox, upstream: str) -> int:
    return sum(_is_of(each["upstream"], upstream) and each["method"] == "POST" for each in sandbox.requests())


def _made(sandbox: Sandbox, upstream: str) -> int:
    return sum(_is_of(each["upstream"], upstream) and bool(each["billed"]) for each in sandbox.billing())


def _is_of(name: object, upstream: str) -> bool:
    """Whether a stand-in belongs to that upstream: Hugging Face has several."""
    return str(name).partition("-")[0] == upstream


def _skip(reason: "error_pb2.ErrorReason.ValueType") -> str:
    return str(Reason.from_proto(reason)) if reason else ""
