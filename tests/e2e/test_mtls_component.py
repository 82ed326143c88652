"""The kustomize component `mtls` over each overlay, as kubectl renders it."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from imagegate.router.config import load
from imagegate.runtime.access import Role
from imagegate.runtime.settings import ProcessSettings
from imagegate.runtime.transport import PREFIX, TransportSettings

K8S = Path(__file__).parents[2] / "deploy/k8s"
MOUNT = "/run/secrets/tls"
Manifest = dict[str, Any]


@pytest.fixture(params=["local", "production"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> list[Manifest]:
    """Every object of an overlay with the component on top."""
    shutil.copytree(K8S, tmp_path / "k8s")
    folder = tmp_path / "k8s/overlays/with-mtls"
    folder.mkdir()
    own = {"resources": [f"../{request.param}"], "components": ["../../components/mtls"]}
    head = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(head | own))
    done = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, check=False)  # noqa: S607
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def of_kind(objects: list[Manifest], kind: str) -> Mapping[str, Manifest]:
    return {each["metadata"]["name"]: each for each in objects if each["kind"] == kind}


def workloads(objects: list[Manifest]) -> Mapping[str, tuple[Manifest, Manifest]]:
    """Each workload of ours: the spec of its pods, and their one container."""
    found = {}
    for name, deployment in of_kind(objects, "Deployment").items():
        pod = deployment["spec"]["template"]["spec"]
        if pod["containers"][0]["args"][0] != "imagegate.sandbox":
            found[name] = pod, pod["containers"][0]
    return found


def environment(container: Manifest) -> dict[str, str]:
    return {each["name"]: each.get("value", "") for each in container["env"]}


def test_every_workload_shows_its_own_certificate_and_asks_for_one(objects: list[Manifest]) -> None:
    """S13: its own Secret, which its own Certificate makes with the name of its Service; and it calls over TLS."""
    certificates = of_kind(objects, "Certificate")
    for name, (pod, container) in workloads(objects).items():
        own = environment(container)
        settings = ProcessSettings.read(own, PREFIX)
        files = {path.name for path in (settings.tls_cert_file, settings.tls_key_file) if path is not None}
        assert files == {"tls.crt", "tls.key"}
        assert str(settings.tls_client_ca_file) == str(TransportSettings.read(own, PREFIX).ca) == f"{MOUNT}/ca.crt"
        assert TransportSettings.read(own, PREFIX).is_tls
        (volume,) = [each for each in pod["volumes"] if each["name"] == "tls"]
        assert {"name": "tls", "mountPath": MOUNT, "readOnly": True} in container["volumeMounts"]
        certificate = certificates[name]["spec"]
        assert certificate["secretName"] == volume["secret"]["secretName"] == f"tls-{name}"
        assert name in certificate["dnsNames"]
        assert name in of_kind(objects, "Service")
        assert {"server auth", "client auth"} <= set(certificate["usages"])
        assert certificate["issuerRef"] == {"kind": "Issuer", "name": "imagegate"}


def test_providers_let_in_the_router_and_the_router_knows_the_edge(objects: list[Manifest]) -> None:
    """S13: by the names in their certificates."""
    certificates = of_kind(objects, "Certificate")
    for name, (_, container) in workloads(objects).items():
        allowed = environment(container).get("IMAGEGATE_ALLOWED_CALLERS")
        is_provider = container["args"][0] == "imagegate.providers"
        assert allowed == (certificates["router"]["spec"]["uris"][0] if is_provider else None), name
    own = environment(workloads(objects)["router"][1])
    callers = load(K8S / "router/imagegate.yaml", own).known_callers()
    edge = callers.with_identity(certificates["edge"]["spec"]["uris"])
    assert edge is not None
    assert (edge.name, edge.role) == ("edge", Role.OPERATOR)


def test_probes_ask_in_a_way_that_the_kubelet_can(objects: list[Manifest]) -> None:
    """It speaks gRPC in the clear only."""
    for name, (_, container) in workloads(objects).items():
        for probe in ("startupProbe", "readinessProbe"):
            assert container[probe]["httpGet"] == {"path": "/readyz", "port": "http"}, name
    for service in of_kind(objects, "Service").values():
        assert not any(port.get("appProtocol") == "kubernetes.io/h2c" for port in service["spec"]["ports"])


def test_what_has_a_schema_keeps_it(objects: list[Manifest]) -> None:
    """S3: the patches leave objects that Kubernetes takes; cert-manager's have no schema here."""
    for each in objects:
        if each["apiVersion"].partition("/")[0] not in ("cert-manager.io", "monitoring.coreos.com"):
            kubernetes_validate.validate(each, kubernetes_validate.latest_version(), strict=True)
