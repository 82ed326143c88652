"""Every replica behind one name."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

import grpc

from imagegate.client.address import host_and_port, joined
from imagegate.client.error import GenerationError
from imagegate.runtime.errors import Reason

Answer = TypeVar("Answer")


async def replicas_of(address: str, default_port: int) -> list[str]:
    """The addresses behind HOST:PORT, as its name resolves now: those of a headless service's replicas.

    Raises GenerationError (UNREACHABLE) where the name does not resolve.
    """
    host, port = host_and_port(address, default_port)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        message = f"{host} cannot be resolved ({error.strerror or error}); name another host with --admin"
        raise GenerationError(Reason.UNREACHABLE, message, code=grpc.StatusCode.UNAVAILABLE) from error
    return [joined(each, port) for each in hosts_among((family, to) for family, *_, to in found)]


def hosts_among(found: Iterable[tuple[int, tuple[Any, ...]]]) -> list[str]:
    """The hosts of these (address family, socket address) pairs, each once.

    Where there are both kinds each replica has one of each, so IPv6 counts only where there is nothing else.
    """
    by_family: dict[int, dict[str, None]] = {}
    for family, address in found:
        by_family.setdefault(family, {})[str(address[0])] = None
    return list(by_family.get(socket.AF_INET) or by_family.get(socket.AF_INET6, {}))


async def ask_each(
    addresses: Sequence[str], question: Callable[[str], Awaitable[Answer]]
) -> tuple[dict[str, Answer], dict[str, GenerationError]]:
    """What each address answers, and who failed; all are asked at once."""

    async def ask(address: str) -> Answer | GenerationError:
        try:
            return await question(address)
        except GenerationError as error:
            return error

    outcomes = dict(zip(addresses, await asyncio.gather(*map(ask, addresses)), strict=True))
    failed = {address: told for address, told in outcomes.items() if isinstance(told, GenerationError)}
    answered = {address: told for address, told in outcomes.items() if not isinstance(told, GenerationError)}
    return answered, failed
