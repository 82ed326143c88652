"""Which ports `up` takes."""

import socket

from imagegate.client.ports import Pair, Ports


def test_the_well_known_ports_follow_the_configured_order() -> None:
    """Router 50051, 9464, admin 50052, edge 8080 and 9465, providers 50061 and 9471 and up, sandbox 8090."""
    ports = Ports.fixed(["huggingface", "fal"])
    assert ports == Ports(
        router=Pair(50051, 9464),
        providers={"huggingface": Pair(50061, 9471), "fal": Pair(50062, 9472)},
        sandbox=8090,
        admin=50052,
        edge=Pair(0, 9465),
        web=8080,
    )


def test_a_port_in_use_is_named_with_whose_it_would_be() -> None:
    """All of them at once, so that they can be freed in one go."""
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        number = busy.getsockname()[1]
        ports = Ports(Pair(number, 0), {"fal": Pair(0, number)}, number, number, Pair(0, number), number)
        whose = ["router admin", "edge HTTP", "router", "edge metrics", "fal metrics"]
        assert ports.taken("127.0.0.1", ["fal"], with_sandbox=False) == [(each, number) for each in whose]
        assert ("sandbox", number) in ports.taken("127.0.0.1", [], with_sandbox=True)


def test_free_ports_are_never_taken() -> None:
    """0 asks the system for any."""
    assert Ports.free(["fal"]).taken("127.0.0.1", ["fal"], with_sandbox=True) == []
