"""The whole kit against our own providers, over real sockets, with the sandbox in their upstreams' place."""

import pytest

from imagegate.conformance.body import load, upstreams
from imagegate.conformance.kit import Options, Outcome, run
from imagegate.conformance.row import Verdict
from imagegate.providers.__main__ import create, names
from imagegate.runtime.redaction import Redactor
from imagegate.sandbox.app import Pace, serving
from imagegate.testing import serving_provider
from imagegate.testing.system import KEYS

QUICK = Pace(fal_queue=0.01, fal_run=0.01)
# What the upstream itself cannot do; everything else is tried.
CANNOT = {"automatic1111": {"upstream-id", "leaving"}}


async def outcome_of(name: str) -> Outcome:
    async with serving(pace=QUICK) as sandbox:
        provider = create(name, {**sandbox.environment, **KEYS}, Redactor())
        async with serving_provider(provider) as served:
            outcome = await run(Options(served.target, sandbox.url))
    return outcome


def rows(outcome: Outcome, verdict: Verdict) -> dict[str, str]:
    return {row.id: row.why for row in outcome.rows if row.verdict is verdict}


@pytest.mark.parametrize("name", upstreams())
async def test_our_providers_keep_every_duty(name: str) -> None:
    """S1, R3, R5, R8, R9, R10: every recorded answer and every duty, as any provider in any language is held to it."""
    outcome = await outcome_of(name)
    assert rows(outcome, Verdict.FAIL) == {}
    assert rows(outcome, Verdict.NOT_TRIED).keys() == CANNOT.get(name, set())
    played = {f"body/{body.name}" for body in load(name).bodies}
    assert played <= rows(outcome, Verdict.PASS).keys()
    assert len(played) >= 12
    assert (outcome.provider, outcome.exit_code) == (name, 0)


def test_every_upstream_of_ours_is_recorded() -> None:
    """A provider with an upstream and without recorded answers would pass by not being asked."""
    assert set(upstreams()) == set(names()) - {"sketch"}


async def test_a_provider_without_an_upstream() -> None:
    """S1: what needs no upstream is tried, and the rest says why it was not."""
    outcome = await outcome_of("sketch")
    assert rows(outcome, Verdict.FAIL) == {}
    due = {"health", "catalogue", "bad-fields", "picture", "adjustment", "count", "handover", "handover/none"}
    assert due <= rows(outcome, Verdict.PASS).keys()
    assert "--upstream takes automatic1111, fal, huggingface" in rows(outcome, Verdict.NOT_TRIED)["deadline"]
    assert outcome.exit_code == 0
