"""What is shown of a router, and to whom."""

import json

from imagegate.edge.api.replica_view import Replica, shown
from imagegate.v1 import router_pb2

TARGET = "dns:///provider-fal.inside:50061"


def a_status() -> router_pb2.RouterStatus:
    provider = router_pb2.ProviderStatus(
        name="fal",
        target=TARGET,
        problem=f"the provider service fal does not answer (at {TARGET})",
        models=[router_pb2.ModelStatus(key="dev", last_error={"message": f"{TARGET} broke off"})],
    )
    return router_pb2.RouterStatus(providers=[provider], config_source="/etc/imagegate.yaml", config_hash="ab")


def test_addresses_of_the_house_are_for_operators() -> None:
    """R11, S38: users see how everything is doing, and not where it is."""
    replicas = [Replica("10.0.0.7:50051", a_status(), ""), Replica("10.0.0.8:50051", None, "none at 10.0.0.8:50051")]
    first, second = shown(replicas, for_operator=False)
    assert (first["address"], first["reachable"], first["problem"]) == ("router 1", True, "")
    [fal] = first["status"]["providers"]
    assert fal["problem"] == "the provider service fal does not answer"
    assert fal["models"][0]["last_error"]["message"] == "its process broke off"
    assert second == {
        "address": "router 2",
        "reachable": False,
        "problem": "this router does not answer",
        "status": None,
    }
    for secret in ("inside", "10.0.0", "/etc"):
        assert secret not in json.dumps([first, second])


def test_operators_see_everything() -> None:
    """R11: an operator sees which replica it is, what is wrong with it, and where its providers are."""
    replicas = [Replica("10.0.0.7:50051", a_status(), ""), Replica("10.0.0.8:50051", None, "it has stopped")]
    first, second = shown(replicas, for_operator=True)
    assert first["address"] == "10.0.0.7:50051"
    assert first["status"]["providers"][0]["target"] == TARGET
    assert first["status"]["config_source"] == "/etc/imagegate.yaml"
    assert (second["reachable"], second["problem"]) == (False, "it has stopped")
