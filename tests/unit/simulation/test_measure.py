"""The numbers mean what their names say."""

import math

from simulation.measure import Ledger


def played(spared: str, *, every: float = 10.0) -> Ledger:
    """Callers at 0, `every`, … seconds: `.` is sent to the sick candidate, `x` is spared."""
    ledger = Ledger("a")
    for number, letter in enumerate(spared):
        place = ledger.arrived(number * every, "b" if letter == "x" else "a")
        ledger.ended(place, number * every + number, delivered=number % 2 == 0)
    return ledger


def test_detection_counts_from_the_first_call_that_was_hit() -> None:
    """A call sent before the fault is hit when the fault begins; the first caller spared after it is the detection."""
    ledger = played(".....x")
    ledger.failed("a", 5.0, 25.0)
    assert ledger.figures(20.0, 100.0).detected == 30.0
    assert played(".....").figures(20.0, 100.0).detected is None


def test_a_failure_of_the_healthy_candidate_is_no_waste() -> None:
    """Wasted are calls to the sick one that failed."""
    ledger = Ledger("a")
    ledger.failed("b", 0.0, 1.0)
    ledger.failed("a", 0.0, 1.0)
    assert ledger.figures(0.0, 10.0).wasted == 1


def test_callers_from_the_fault_on_are_counted() -> None:
    """Whoever came before does not matter, whoever came after does; those without a picture failed."""
    figures = played("......").figures(20.0, 40.0)
    assert (figures.callers, figures.failed, figures.waited) == (4, 2, 3.0)


def test_stretches_within_a_minute_are_one_false_trip() -> None:
    """Sparing a candidate that is well is false; a ramp that lets some through does not count again."""
    assert played("..xx.x........x..").figures(math.inf, math.inf).false_trips == 2
    assert played("..xx.x........x..").figures(100.0, 120.0).false_trips == 1


def test_it_is_back_when_nine_of_ten_go_to_it() -> None:
    """The first caller sent there, if at least nine of ten from then on are sent there too."""
    assert played("xx.x.x...........").figures(0.0, 10.0).back == 30.0
    assert played("xx.x.x....x......").figures(0.0, 10.0).back == 50.0
    assert played("xxxxxxxxxxxxxxxxx").figures(0.0, 10.0).back is None
