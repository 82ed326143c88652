"""The script of traffic, one caller after the other, through a gateway into the upstreams."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from imagegate.runtime.errors import Dispatch, Failure, Reason
from simulation.engine import Engine
from simulation.faults import Fault
from simulation.gateway import Ended, Gateway, Try, Wait
from simulation.measure import Ledger
from simulation.traffic import Request

# How often a caller who waits for a model has it checked.
CHECK_SECONDS = 2.0
# How often it is checked whether a candidate takes our key.
KEY_CHECK_SECONDS = 60.0
# A policy that waits for no time at all would stop the clock.
SHORTEST_WAIT = 0.001


def replay(script: Iterator[Request], gateway: Gateway, upstreams: Mapping[str, Fault], ledger: Ledger) -> None:
    """Play the whole script, to the last answer. `upstreams` stand in the order of the candidates."""
    engine = Engine()
    world = _World(engine, gateway, upstreams, ledger)

    def arrive(request: Request) -> None:
        following = next(script, None)
        if following is not None:
            engine.at(following.arrives, partial(arrive, following))
        world.check_keys()
        _Caller(world, request).step()

    first = next(script, None)
    if first is not None:
        engine.at(first.arrives, partial(arrive, first))
    engine.run()


class _World:
    def __init__(self, engine: Engine, gateway: Gateway, upstreams: Mapping[str, Fault], ledger: Ledger) -> None:
        self.engine = engine
        self.gateway = gateway
        self.upstreams = upstreams
        self.places: Sequence[str] = list(upstreams)
        self.ledger = ledger
        self._keys_checked_at = 0.0

    def check_keys(self) -> None:
        """Once a minute; without traffic nobody would see the difference."""
        now = self.engine.now
        if now - self._keys_checked_at < KEY_CHECK_SECONDS:
            return
        self._keys_checked_at = now
        for candidate, upstream in self.upstreams.items():
            if upstream.takes_key(now):
                self.gateway.key_accepted(candidate, now)


class _Caller:
    """One request: it does what its call says until that ends or the caller leaves."""

    def __init__(self, world: _World, request: Request) -> None:
        self._world = world
        self._request = request
        self._call = world.gateway.begin(request, world.engine.now)
        self._is_noted = False
        self._place = 0

    def step(self) -> None:
        now = self._world.engine.now
        step = self._call.next(now)
        if not self._is_noted:
            self._is_noted = True
            self._place = self._world.ledger.arrived(now, step.candidate if isinstance(step, Try) else "")
        match step:
            case Try():
                self._try(step, now)
            case Wait():
                self._wait(step, now)
            case Ended():
                self._world.ledger.ended(self._place, now, delivered=step.delivered)

    def _try(self, step: Try, now: float) -> None:
        request = self._request
        seconds = request.seconds[self._world.places.index(step.candidate)]
        reply = self._world.upstreams[step.candidate].reply(request, seconds, now)
        ends, failure = now + reply.seconds, reply.failure
        if reply.seconds > step.timeout:
            ends, failure = now + step.timeout, timed_out()
        left = ends > request.deadline + SHORTEST_WAIT
        if failure is not None or left:
            self._world.ledger.failed(step.candidate, now, min(ends, request.deadline))
        self._later(ends, partial(self._answered, failure))

    def _wait(self, step: Wait, now: float) -> None:
        if not step.loading:
            self._later(now + max(step.seconds, SHORTEST_WAIT), self.step)
            return
        until = now + max(step.seconds, SHORTEST_WAIT)
        self._later(min(until, now + CHECK_SECONDS), partial(self._check, step.loading, until))

    def _check(self, candidate: str, until: float) -> None:
        now = self._world.engine.now
        is_loaded = self._world.upstreams[candidate].is_loaded(now)
        if is_loaded:
            self._call.loaded(now)
        if is_loaded or now >= until:
            self.step()
        else:
            self._later(min(until, now + CHECK_SECONDS), partial(self._check, candidate, until))

    def _answered(self, failure: Failure | None) -> None:
        self._call.report(failure, self._world.engine.now)
        self.step()

    def _later(self, when: float, action: Callable[[], None]) -> None:
        """Do `action` then, or leave at the deadline if that comes first."""
        if when > self._request.deadline + SHORTEST_WAIT:
            self._world.engine.at(self._request.deadline, self._leave)
        else:
            self._world.engine.at(when, action)

    def _leave(self) -> None:
        now = self._world.engine.now
        self._call.left(now)
        self._world.ledger.ended(self._place, now, delivered=False)


def timed_out() -> Failure:
    """A time-out of an attempt that was cancelled upstream, by the upstream's own word: nothing is billed."""
    return Failure(Reason.TIMEOUT, "its time ran out", dispatch=Dispatch.ACCEPTED, billed=False)
