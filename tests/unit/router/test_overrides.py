"""What operators have decided, for a while."""

from imagegate.router.overrides import Mode, Override, Overrides

FAL, FLUX = ("fal", ""), ("fal", "flux-dev")


def decision(until: float, mode: Mode = Mode.OPEN) -> Override:
    return Override(mode, "it draws nonsense", "alice", until)


def test_a_decision_ends_by_itself() -> None:
    """Every decision has an end, and is in force until then."""
    overrides = Overrides()
    overrides.put(FAL, decision(until=100.0))
    assert overrides.on(FAL, 99.9) == decision(until=100.0)
    assert overrides.on(FAL, 100.0) is None
    assert overrides.in_force(100.0) == {}


def test_a_decision_is_about_exactly_its_scope() -> None:
    """What is decided of a provider is not decided of its model by name, nor the other way round."""
    overrides = Overrides()
    overrides.put(FAL, decision(until=100.0))
    assert overrides.on(FLUX, 0.0) is None
    assert overrides.in_force(0.0) == {FAL: decision(until=100.0)}


def test_the_latest_decision_stands() -> None:
    """A new decision takes the place of the former one, for a shorter time too."""
    overrides = Overrides()
    overrides.put(FAL, decision(until=100.0))
    overrides.put(FAL, decision(until=50.0, mode=Mode.CLOSED))
    assert overrides.on(FAL, 0.0) == decision(until=50.0, mode=Mode.CLOSED)
    assert overrides.on(FAL, 60.0) is None


def test_a_decision_can_be_taken_back_once() -> None:
    """Clearing says whether there was a decision in force."""
    overrides = Overrides()
    overrides.put(FAL, decision(until=100.0))
    overrides.put(FLUX, decision(until=10.0))
    assert overrides.clear(FAL, 50.0)
    assert not overrides.clear(FAL, 50.0)
    assert not overrides.clear(FLUX, 50.0)
    assert repr(overrides) == "<Overrides 0>"
