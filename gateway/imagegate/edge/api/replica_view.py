"""What is shown of a router replica, to an operator and to everybody else. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from imagegate.client.plain import plain
from imagegate.v1 import router_pb2

UNKNOWN = "it has not answered yet"


@dataclass(slots=True)
class Replica:
    """One router: its last status, or why there is none."""

    address: str
    status: router_pb2.RouterStatus | None = None
    problem: str = UNKNOWN


def shown(replicas: Sequence[Replica], *, for_operator: bool) -> list[dict[str, Any]]:
    """The replicas. Addresses inside the house are for operators; to others replicas have numbers."""
    return [_for_operator(each) if for_operator else _for_user(number, each) for number, each in enumerate(replicas, 1)]


def _for_operator(replica: Replica) -> dict[str, Any]:
    return {
        "address": replica.address,
        "reachable": replica.status is not None,
        "problem": replica.problem,
        "status": plain(replica.status) if replica.status else None,
    }


def _for_user(number: int, replica: Replica) -> dict[str, Any]:
    is_away = replica.status is None and replica.problem != UNKNOWN
    problem = "this router does not answer" if is_away else replica.problem
    told = {**_for_operator(replica), "address": f"router {number}", "problem": problem}
    if told["status"]:
        told["status"] = _without_addresses(told["status"])
    return told


def _without_addresses(status: dict[str, Any]) -> dict[str, Any]:
    providers = [_provider(each) for each in status["providers"]]
    kept = {name: value for name, value in status.items() if name != "config_source"}
    return {**kept, "providers": providers}


def _provider(provider: dict[str, Any]) -> dict[str, Any]:
    target = provider.pop("target", "")
    whole: dict[str, Any] = _replaced(provider, target) if target else provider
    return whole


def _replaced(value: Any, target: str) -> Any:
    """`value` with every text that names the address of a provider's process without it."""
    match value:
        case str():
            return value.replace(f" (at {target})", "").replace(target, "its process")
        case dict():
            return {name: _replaced(each, target) for name, each in value.items()}
        case list():
            return [_replaced(each, target) for each in value]
        case _:
            return value
