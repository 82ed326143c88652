"""Which method is open to whom."""

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf import descriptor_pool
from grpc_channelz.v1 import channelz_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

import imagegate.v1
from imagegate.runtime.access import METHODS, Access, Role, access_to, is_audited

LIBRARY = (health_pb2, reflection_pb2, channelz_pb2)


def registered() -> Iterator[str]:
    """Every method that any process of ours can serve, by the descriptor pool."""
    folder = Path(next(iter(imagegate.v1.__path__)))
    ours = [importlib.import_module(f"imagegate.v1.{path.stem}") for path in folder.glob("*_pb2.py")]
    pool = descriptor_pool.Default()
    for module in (*ours, *LIBRARY):
        for service in pool.FindFileByName(module.DESCRIPTOR.name).services_by_name.values():
            yield from (f"{service.full_name}/{method.name}" for method in service.methods)


def test_every_method_has_a_row_and_every_row_a_method() -> None:
    """S13: a new RPC without a row, and a row without an RPC, are found here."""
    assert set(METHODS) == set(registered())


def test_a_method_without_a_row_is_for_nobody() -> None:
    """S13: what is not in the table is refused, whoever asks."""
    access = access_to("imagegate.v1.GenerationService/Forgotten")
    assert not any(access.admits(role) for role in Role)


def test_only_health_is_for_anybody() -> None:
    """S15: whoever is not known learns whether we serve, and nothing else."""
    open_to_all = {method for method, access in METHODS.items() if access is Access.ANYBODY}
    assert {method.partition("/")[0] for method in open_to_all} == {"grpc.health.v1.Health"}


@pytest.mark.parametrize("method", [method for method in METHODS if ".RouterAdminService/" in method])
def test_the_admin_service_is_for_operators(method: str) -> None:
    """S14: what decides over others takes an operator, and leaves a line in the audit log."""
    assert access_to(method).admits(Role.OPERATOR)
    assert not access_to(method).admits(Role.CALLER)
    assert is_audited(method)
