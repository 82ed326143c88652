"""The whole kit in order: what is asked of a provider, and what is left out and why."""

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from imagegate.conformance import free, pictures, recorded, trouble
from imagegate.conformance.body import SUBMISSION, Recording, load, upstreams
from imagegate.conformance.duty import Bench, Duty
from imagegate.conformance.face import Face
from imagegate.conformance.row import Finding, Row, Verdict
from imagegate.conformance.stand_in import StandIn
from imagegate.runtime.transport import IN_THE_CLEAR, Transport

DEFAULT_SANDBOX = "http://127.0.0.1:8090"
CONNECT_SECONDS = 5.0
NOT_LET_IN = frozenset({"UNAUTHENTICATED", "PERMISSION_DENIED"})


class CannotTestError(Exception):
    """Nothing can be said about the provider; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Options:
    """`address` is HOST:PORT, `sandbox` a URL or empty for the usual one if it answers, `timeout` seconds per call.

    `upstream` names the recorded answers; empty takes those of the provider's own name. `transport` is the way to the
    provider: TLS, and our key.
    """

    address: str
    sandbox: str = ""
    usual_sandbox: str = DEFAULT_SANDBOX
    upstream: str = ""
    timeout: float = 30.0
    transport: Transport = IN_THE_CLEAR


@dataclass(slots=True)
class Outcome:
    """The rows so far. `problem` says why the sandbox that was named could not be used."""

    address: str
    provider: str = ""
    sandbox: str = ""
    problem: str = ""
    rows: list[Row] = field(default_factory=list)

    def number(self, verdict: Verdict) -> int:
        """How many rows came to this."""
        return sum(row.verdict is verdict for row in self.rows)

    @property
    def exit_code(self) -> int:
        """0 where nothing failed, 1 where something did, 2 where the sandbox that was named could not be used."""
        if self.number(Verdict.FAIL):
            return 1
        return 2 if self.problem else 0


async def run(options: Options, hear: Callable[[Row], None] = lambda _row: None) -> Outcome:
    """Try every duty; `hear` is told of each row as it comes.

    Raises CannotTestError: nothing answers, it is no provider or is off, or the sandbox is none or went away.
    """
    outcome = Outcome(options.address)

    def tell(id: str, expected: str, finding: Finding) -> None:
        row = Row.of(id, expected, finding)
        outcome.rows.append(row)
        hear(row)

    try:
        async with Face(options.address, options.transport) as face, _sandbox(options) as stand_in:
            bench = await _bench(face, options, outcome, tell)
            if bench is not None:
                outcome.sandbox = stand_in.url if stand_in is not None else ""
                await _on_bench(bench, stand_in, options, outcome, tell)
    except (aiohttp.ClientError, TimeoutError) as error:
        raise CannotTestError(f"the sandbox at {options.sandbox or options.usual_sandbox} went away") from error
    return outcome


Tell = Callable[[str, str, Finding], None]


async def _bench(face: Face, options: Options, outcome: Outcome, tell: Tell) -> Bench | None:
    """The bench; None where there is no catalogue to go by, which a row says."""
    if why := await face.unreached(min(options.timeout, CONNECT_SECONDS)):
        raise CannotTestError(why)
    tell(free.HEALTH, free.HEALTH_EXPECTED, await free.health(face, options.timeout))
    told = await free.list_models(face, options.timeout)
    if told.code in NOT_LET_IN:
        raise CannotTestError(f"the provider at {options.address} does not let us in: {told.message}")
    catalogue, listed, finding = free.catalogue(told)
    tell(free.CATALOGUE, free.CATALOGUE_EXPECTED, finding)
    if len(listed.providers) > 1:
        names = ", ".join(provider.name for provider in listed.providers)
        raise CannotTestError(f"{options.address} is a router ({names}); give the address of a provider's own service")
    model = catalogue.find("") if catalogue is not None else None
    if catalogue is None or model is None:
        return None
    outcome.provider = catalogue.provider
    (provider,) = listed.providers
    if not provider.enabled:
        raise CannotTestError(f"{provider.name} is off: {provider.disabled_reason}")
    return Bench(face, catalogue, model, options.timeout, secrets.token_hex(4))


async def _on_bench(bench: Bench, stand_in: StandIn | None, options: Options, outcome: Outcome, tell: Tell) -> None:
    for duty in free.DUTIES:
        tell(duty.id, duty.expected, await duty.check(bench))
    name = options.upstream or bench.provider
    recording = load(name) if name in upstreams() else None
    seen = await _first_picture(bench, stand_in, recording, tell)
    for duty in pictures.DUTIES:
        tell(duty.id, duty.expected, await duty.check(bench))
    troubled = [*trouble.DUTIES, *(recorded.duties(recording) if recording is not None else ())]
    if recording is None:
        why = f"nothing is recorded of {name!r}; --upstream takes {', '.join(upstreams())}"
    elif stand_in is None:
        why = f"no sandbox answers at {options.usual_sandbox}; start one with `imagegate sandbox`, or use --sandbox"
    elif not seen:
        why = _not_behind(bench.provider, stand_in, recording)
        outcome.problem = why if options.sandbox else ""
    else:
        for each in troubled:
            tell(each.id, each.expected, await each.check(bench, stand_in, recording))
        return
    for each in troubled:
        tell(each.id, each.expected, Finding.not_tried(why))


async def _first_picture(bench: Bench, stand_in: StandIn | None, recording: Recording | None, tell: Tell) -> bool:
    """Whether the sandbox saw the submission of the first picture."""
    duty: Duty = pictures.FIRST
    if stand_in is None or recording is None:
        tell(duty.id, duty.expected, await duty.check(bench))
        return False
    # A delay of nothing changes nothing, and is counted.
    async with stand_in.playing(recording.steps[SUBMISSION].rule("delay", seconds=0)) as played:
        tell(duty.id, duty.expected, await duty.check(bench))
        return await played.met() > 0


def _not_behind(provider: str, stand_in: StandIn, recording: Recording) -> str:
    variables = " ".join(f"{name}={stand_in.url}{path}" for name, path in recording.addresses.items())
    return (
        f"the sandbox at {stand_in.url} saw no request of {provider}: start the provider with its upstream's address "
        f"there (ours: {variables})"
    )


@asynccontextmanager
async def _sandbox(options: Options) -> AsyncIterator[StandIn | None]:
    """The sandbox, left as it was found; None where none was named and the usual address has none."""
    async with aiohttp.ClientSession() as session:
        stand_in = StandIn(options.sandbox or options.usual_sandbox, session)
        if await stand_in.answers():
            async with stand_in.borrowed():
                yield stand_in
            return
        if options.sandbox:
            raise CannotTestError(f"no sandbox answers at {options.sandbox}; start one with `imagegate sandbox`")
        yield None
