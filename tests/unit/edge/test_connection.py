"""How many connections there may be."""

from imagegate.edge.connection import Bounds, Crowd


def test_there_are_so_many_and_so_many_of_one_address() -> None:
    """S24: no address takes all connections there are, and whoever leaves makes room."""
    crowd = Crowd(Bounds(connections=3, connections_per_address=2))
    assert [crowd.enter("a") for _ in range(3)] == [True, True, False]
    assert [crowd.enter("b") for _ in range(2)] == [True, False]
    crowd.leave("a")
    assert len(crowd) == 2
    assert crowd.enter("b")
    for address in ("a", "b", "b"):
        crowd.leave(address)
    assert len(crowd) == 0
