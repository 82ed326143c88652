"""What the figures have to show."""

from collections.abc import Callable
from typing import Protocol

import pytest

from bench.cells import BIG, MANY, SMALL, Case, Cell, Contestant, Measured
from bench.goals import GOALS, SHORT_GOALS, Goal, Judgement, added_p50, faults, nobody_cpu, router_cpu, upstream_share
from bench.systems import HAPPY, NOBODY


class Rounds(Protocol):
    """The rounds of each system of one case."""

    def __call__(self, case: Case, **rounds: list[dict[str, object]]) -> Measured: ...


@pytest.fixture
def measured(cell: Callable[..., Cell]) -> Rounds:
    """Makes what was measured."""

    def made(case: Case, **rounds: list[dict[str, object]]) -> Measured:
        all_of_them = Measured()
        for system, figures in rounds.items():
            for each in figures:
                all_of_them.add(case, Contestant(system, case.scenario), cell(**each))
        return all_of_them

    return made


@pytest.mark.parametrize(
    ("ratios", "at_least", "verdict"),
    [
        ([1.0, 1.1, 9.0], False, "PROUD"),
        ([1.3, 1.3, 0.1], False, "PASS"),
        ([1.5, 1.5, 0.1], False, "FAIL"),
        ([1.5, 1.5, 0.1], True, "PASS"),
        ([0.1, 0.2, 9.0], True, "FAIL"),
        ([], False, "ABSENT"),
    ],
)
def test_a_goal_is_judged_by_the_median_of_its_rounds(ratios: list[float], at_least: bool, verdict: str) -> None:
    """One noisy round decides nothing; whoever was absent is told so, and passes nothing."""
    goal = Goal("a figure", lambda _: ratios, limit=1.4, proud=1.8 if at_least else 1.2, at_least=at_least)
    judgement = goal.judge(Measured())
    assert judgement.verdict == verdict
    assert judgement.decides is (verdict == "FAIL")


def test_a_peer_decides_nothing() -> None:
    """How fast somebody else's software is cannot fail our benchmark."""
    goal = Goal("a figure", lambda _: [9.0], limit=1, needs_peer="litellm")
    assert (Judgement(goal, [9.0]).verdict, Judgement(goal, [9.0]).decides) == ("FAIL", False)


def test_ratios_are_of_one_round(measured: Rounds) -> None:
    """A round is compared with itself: what a slow minute does to both cancels out."""
    made = measured(
        Case(HAPPY, SMALL, MANY),
        imagegate=[{"cpu_ms": {"router": 2.0}}, {"cpu_ms": {"router": 8.0}}],
        bare=[{"cpu_ms": {"bare": 1.0}}, {"cpu_ms": {"bare": 4.0}}],
    )
    assert router_cpu(SMALL)(made) == [2, 2]


def test_what_is_added_is_beside_the_direct_call(measured: Rounds) -> None:
    """A router that adds 3 ms where the bare one adds 2 costs one and a half times as much, however long calls take."""
    made = measured(Case(HAPPY, BIG, 1), direct=[{"p50": 10.0}], bare=[{"p50": 12.0}], imagegate=[{"p50": 13.0}])
    assert added_p50(BIG)(made) == [1.5]


def test_the_worse_process_counts(measured: Rounds) -> None:
    """Page faults are a promise of the router and of the provider, not of their mean."""
    made = measured(Case(HAPPY, BIG, MANY), imagegate=[{"faults": {"router": 3.0, "provider": 21.0}}])
    assert faults(BIG)(made) == [21]


def test_whoever_is_told_that_nobody_may_be_asked_costs_less_than_a_picture(
    measured: Rounds, cell: Callable[..., Cell]
) -> None:
    """The router's CPU for a refusal is compared with its own for a picture, in the same case."""
    made = measured(Case(NOBODY, SMALL, MANY), imagegate=[{"cpu_ms": {"router": 0.3}}])
    made.add(Case(NOBODY, SMALL, MANY), Contestant("imagegate", HAPPY), cell(cpu_ms={"router": 0.6}))
    assert nobody_cpu(made) == [0.5]


def test_the_upstream_is_watched_where_it_is_busiest(measured: Rounds) -> None:
    """A stand-in that everybody waits for would make all systems look alike."""
    made = measured(Case(HAPPY, SMALL, MANY), bare=[{"upstream": 0.2}], imagegate=[{"upstream": 0.1}])
    assert upstream_share(made) == [0.2]


def test_no_goal_is_named_twice() -> None:
    """A name is how a figure is found again in the JSON."""
    for goals in (GOALS, SHORT_GOALS):
        assert len({goal.name for goal in goals}) == len(goals)


def test_without_figures_no_goal_is_reached() -> None:
    """Where nothing was measured every figure is absent, and none passes."""
    assert {goal.judge(Measured()).verdict for goal in GOALS if goal.ratios is not upstream_share} == {"ABSENT"}
