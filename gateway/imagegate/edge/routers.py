"""Where the routers are, replica by replica, for what concerns each of them and not just any."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from imagegate.client.address import ADMIN_PORT, ADMIN_VARIABLE, DEFAULT_ROUTER, admin_address, host_and_port, host_name
from imagegate.client.replicas import replicas_of
from imagegate.client.transport import TransportFields
from imagegate.runtime.settings import SettingsError

ROUTER_PORT = int(DEFAULT_ROUTER.rpartition(":")[2])

# Answers with HOST:PORT of every replica, as the name resolves now. Raises GenerationError where it does not.
Find = Callable[[], Awaitable[Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Routers:
    """Finds every replica of the router, and the admin port of each."""

    replicas: Find
    admins: Find
    # How replicas and admin ports are reached: by their addresses, while names stand in their certificates.
    to_replicas: TransportFields = field(default_factory=TransportFields)
    to_admins: TransportFields = field(default_factory=TransportFields)

    @classmethod
    def behind(cls, router: str, admin: str, transport: TransportFields) -> "Routers":
        """Those behind the router's address; `admin` is the address of their admin ports, by default port 50052 of the
        router's host; `transport` is how the router is reached. Raises SettingsError where that cannot be told.
        """
        try:
            admin_at = admin_address(admin, router if not admin else "", {})
        except ValueError as error:
            raise SettingsError(f"{ADMIN_VARIABLE}: {error}") from error
        finds = _behind(router, ROUTER_PORT), _behind(admin_at, ADMIN_PORT)
        return cls(*finds, _named(transport, router), _named(transport, admin_at))


def _named(transport: TransportFields, address: str) -> TransportFields:
    return {**transport, "server_name": transport.get("server_name") or host_name(address)}


def _behind(address: str, port: int) -> Find:
    async def find() -> Sequence[str]:
        return await replicas_of(address, port)

    try:
        host_and_port(address, port)
    except ValueError:  # a socket in the file system, a list of addresses: gRPC knows what to do with it
        return lambda: _only(address)
    return find


async def _only(address: str) -> Sequence[str]:
    return [address]
