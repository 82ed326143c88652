"""Every replica behind one name."""

import socket

import grpc

from imagegate.client.error import GenerationError
from imagegate.client.replicas import ask_each, hosts_among, replicas_of
from imagegate.runtime.errors import Reason

V4, V6 = socket.AF_INET, socket.AF_INET6


def test_each_replica_counts_once() -> None:
    """Where a name has both kinds of address each replica has one of each: they are not told twice."""
    both = [(V6, ("fd00::1", 7, 0, 0)), (V4, ("10.0.0.1", 7)), (V4, ("10.0.0.2", 7)), (V4, ("10.0.0.1", 7))]
    assert hosts_among(both) == ["10.0.0.1", "10.0.0.2"]
    assert hosts_among(both[:1]) == ["fd00::1"]


async def test_a_name_is_resolved_when_it_is_needed() -> None:
    """This machine's own name, an address, and the port that is meant where none is said."""
    assert await replicas_of("localhost:7", 50052) == ["127.0.0.1:7"]
    assert await replicas_of("[::1]", 50052) == ["[::1]:50052"]


async def test_one_that_fails_keeps_nobody_from_being_asked() -> None:
    """Who answered and who failed are told apart."""
    failure = GenerationError(Reason.UNREACHABLE, "gone", code=grpc.StatusCode.UNAVAILABLE)

    async def question(address: str) -> int:
        if address == "b":
            raise failure
        return len(address)

    assert await ask_each(["a", "b", "cc"], question) == ({"a": 1, "cc": 2}, {"b": failure})
