"""Which method is open to whom. Pure.

Every method that any process of ours serves stands here; one that does not is refused to everybody where callers are
told apart, so that a new one is forgotten by a test and not by an attacker.
"""

from collections.abc import Mapping
from enum import StrEnum


class Role(StrEnum):
    """What a caller is: one who asks for pictures, or one who runs this as well."""

    CALLER = "caller"
    OPERATOR = "operator"


class Access(StrEnum):
    """Who may: anybody, a caller who is known, an operator, or nobody."""

    ANYBODY = "anybody"
    CALLER = "caller"
    OPERATOR = "operator"
    NOBODY = "nobody"

    def admits(self, role: Role) -> bool:
        """Whether `role` is enough."""
        if self is Access.OPERATOR:
            return role is Role.OPERATOR
        return self is not Access.NOBODY


ADMIN_SERVICE = "imagegate.v1.RouterAdminService"

METHODS: Mapping[str, Access] = {
    "imagegate.v1.GenerationService/Generate": Access.CALLER,
    "imagegate.v1.GenerationService/GenerateStream": Access.CALLER,
    "imagegate.v1.CatalogService/ListModels": Access.CALLER,
    "imagegate.v1.CatalogService/GetModel": Access.CALLER,
    "imagegate.v1.CatalogService/CheckModel": Access.CALLER,
    "imagegate.v1.CatalogService/ListPoseTemplates": Access.CALLER,
    "imagegate.v1.CatalogService/EstimateCost": Access.CALLER,
    "imagegate.v1.CatalogService/RecommendModels": Access.CALLER,
    "imagegate.v1.RouterService/GetStatus": Access.CALLER,
    "imagegate.v1.RouterService/WatchStatus": Access.CALLER,
    "imagegate.v1.RouterService/Explain": Access.CALLER,
    "imagegate.v1.RouterService/GenerateBatch": Access.CALLER,
    # Other callers' requests, prompts included.
    "imagegate.v1.RouterService/GetRequest": Access.OPERATOR,
    "imagegate.v1.RouterService/ListRequests": Access.OPERATOR,
    f"{ADMIN_SERVICE}/OverrideBreaker": Access.OPERATOR,
    f"{ADMIN_SERVICE}/ClearOverride": Access.OPERATOR,
    f"{ADMIN_SERVICE}/ListOverrides": Access.OPERATOR,
    f"{ADMIN_SERVICE}/GetConfig": Access.OPERATOR,
    # Probes and balancing clients have no key.
    "grpc.health.v1.Health/Check": Access.ANYBODY,
    "grpc.health.v1.Health/List": Access.ANYBODY,
    "grpc.health.v1.Health/Watch": Access.ANYBODY,
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": Access.CALLER,
    # Who is connected, from where.
    "grpc.channelz.v1.Channelz/GetTopChannels": Access.OPERATOR,
    "grpc.channelz.v1.Channelz/GetServers": Access.OPERATOR,
    "grpc.channelz.v1.Channelz/GetServer": Access.OPERATOR,
    "grpc.channelz.v1.Channelz/GetServerSockets": Access.OPERATOR,
    "grpc.channelz.v1.Channelz/GetChannel": Access.OPERATOR,
    "grpc.channelz.v1.Channelz/GetSubchannel": Access.OPERATOR,
    "grpc.channelz.v1.Channelz/GetSocket": Access.OPERATOR,
}


def access_to(method: str) -> Access:
    """Who may call `method`, given as `package.Service/Method`."""
    return METHODS.get(method, Access.NOBODY)


def is_audited(method: str) -> bool:
    """Whether each call of `method` leaves a line in the log of what operators do."""
    return method.startswith(f"{ADMIN_SERVICE}/")
