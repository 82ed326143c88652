"""What callers may name never becomes a label."""

import random
from collections.abc import Iterator

from imagegate.router.admission import MAX_MODELS
from imagegate.router.config import ModelOverrides
from imagegate.router.events import AttemptFinished, AttemptStarted, CandidateSkipped, FellBack, Listeners
from imagegate.router.metrics import RouterMetrics
from imagegate.router.router import Router
from imagegate.router.status import Scoreboard
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.metrics import ProcessMetrics
from imagegate.runtime.registry import Registry
from imagegate.testing import FakeClock

NAMES = 100_000
MAX_SERIES = 2_000
PROVIDERS = ("huggingface", "fal", "automatic1111")
REASONS = [*Reason]


def hostile_names() -> Iterator[str]:
    """Upstream ids as a caller may make them up: long, with quotes, line ends, braces, and never twice the same."""
    rng = random.Random(7)  # noqa: S311 the same names in every run
    for number in range(NAMES):
        yield f'{number}/"}}\n{{evil="{rng.random()}' + "é" * rng.randrange(40)


def series(registry: Registry) -> int:
    return sum(len(family.samples) for family in registry.collect())


def test_a_hundred_thousand_hostile_names_make_no_series_of_their_own() -> None:
    """A process exposes at most 2,000 series, whatever names its callers send and however attempts at them end."""
    clock = FakeClock()
    registry = Registry()
    listeners = Listeners()
    router = Router(ModelOverrides(), listeners, clock=clock)
    scoreboard = Scoreboard(router.catalogues.has)
    listeners.add(RouterMetrics(registry, router), scoreboard)
    ProcessMetrics(registry)
    for number, name in enumerate(hostile_names()):
        owner, now = PROVIDERS[number % 3], clock.advance(0.01)
        reason = REASONS[number % len(REASONS)]
        permits = router.admission.acquire(owner, name, now, timeout=10, overdue_after=60)
        listeners(AttemptStarted(owner, name))
        failure = Failure(reason, "no", dispatch=Dispatch.REFUSED) if number % 4 else None
        if failure is not None:
            router.admission.failed(permits, failure, now, prompt=number)
        else:
            router.admission.delivered(permits, now, seconds=1, usual=1)
        listeners(AttemptFinished(owner, name, 1.0, failure))
        listeners(CandidateSkipped(owner, name, reason))
        listeners(FellBack(owner, PROVIDERS[number % 2], reason))
    assert series(registry) <= MAX_SERIES
    assert len(scoreboard.scores) <= 2 * len(PROVIDERS)
    assert len(router.admission._models) <= MAX_MODELS
