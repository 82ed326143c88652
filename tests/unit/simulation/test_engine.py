"""Virtual time."""

from simulation.engine import Engine


def test_things_happen_in_the_order_of_time_and_of_asking() -> None:
    """The clock jumps to each thing; of two at the same time the one asked for first comes first."""
    engine, seen = Engine(), []
    for when, name in ((2.0, "b"), (1.0, "a"), (2.0, "c")):
        engine.at(when, lambda name=name: seen.append((engine.now, name)))
    engine.run()
    assert seen == [(1.0, "a"), (2.0, "b"), (2.0, "c")]


def test_nothing_happens_in_the_past() -> None:
    """What is asked for too late happens now."""
    engine, seen = Engine(), []
    engine.at(5.0, lambda: engine.at(1.0, lambda: seen.append(engine.now)))
    engine.run()
    assert seen == [5.0]
