"""The manifests, as kubectl renders them, against Kubernetes' schemas and against what they are to be."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from imagegate.router import config

ROOT = Path(__file__).parents[2]
K8S = ROOT / "deploy/k8s"
Manifest = dict[str, Any]


def run(*command: str | Path) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rendered(kubectl: Path, overlay: Path) -> Sequence[Manifest]:
    return list(yaml.safe_load_all(run(kubectl, "kustomize", overlay)))


@pytest.fixture(scope="module")
def production(kubectl: Path) -> Sequence[Manifest]:
    """Every object of the overlay for production."""
    return rendered(kubectl, K8S / "overlays/production")


@pytest.fixture(scope="module", params=["local", "production"])
def objects(request: pytest.FixtureRequest, kubectl: Path) -> Sequence[Manifest]:
    """Every object of an overlay."""
    return rendered(kubectl, K8S / "overlays" / request.param)


def of_kind(objects: Sequence[Manifest], kind: str) -> dict[str, Manifest]:
    return {each["metadata"]["name"]: each for each in objects if each["kind"] == kind}


def pods(objects: Sequence[Manifest]) -> Iterator[tuple[str, Manifest, Manifest]]:
    """Each workload's name, the spec of its pods and their one container."""
    for name, deployment in of_kind(objects, "Deployment").items():
        pod = deployment["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        yield name, pod, container


def environment(container: Manifest) -> dict[str, str]:
    return {each["name"]: each.get("value", "") for each in container.get("env", ())}


def providers() -> list[str]:
    return [folder.name for folder in (K8S / "providers").iterdir()]


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    return selector["matchLabels"].items() <= labels.items()


# ── What has no schema ───────────────────────────────────────────────────────────────────────────────────────────────


def scrapes_everything_of_ours(monitor: Manifest, objects: Sequence[Manifest]) -> None:
    """Each process of ours is behind a Service that the monitor selects, whose port leads to its /metrics."""
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["path"] == "/metrics"
    chosen = [
        service
        for service in of_kind(objects, "Service").values()
        if selects(monitor["spec"]["selector"], service["metadata"].get("labels", {}))
    ]
    ours = {name for name, _, container in pods(objects) if container["args"][0] != "imagegate.sandbox"}
    reached = set()
    for service in chosen:
        (port,) = [each for each in service["spec"]["ports"] if each["name"] == endpoint["port"]]
        for name, deployment in of_kind(objects, "Deployment").items():
            template = deployment["spec"]["template"]
            if service["spec"]["selector"].items() <= template["metadata"]["labels"].items():
                (container,) = template["spec"]["containers"]
                assert {"name": port["targetPort"], "containerPort": 9464} in container["ports"]
                reached.add(name)
    assert reached == ours
    assert len(chosen) == len(ours)


def holds_the_rules(rule_object: Manifest, _: Sequence[Manifest]) -> None:
    """The rules are those that promtool tries."""
    shipped = yaml.safe_load((ROOT / "deploy/observability/rules.yaml").read_text())
    assert rule_object["spec"] == shipped


WITHOUT_SCHEMA: Mapping[str, Callable[[Manifest, Sequence[Manifest]], None]] = {
    "ServiceMonitor": scrapes_everything_of_ours,
    "PrometheusRule": holds_the_rules,
}


def test_every_object_is_what_kubernetes_takes(objects: Sequence[Manifest]) -> None:
    """S3: every object passes its schema, unknown fields refused; what has none is on a list, with a check of ours."""
    for each in objects:
        if each["kind"] in WITHOUT_SCHEMA:
            with pytest.raises(kubernetes_validate.SchemaNotFoundError):
                kubernetes_validate.validate(each, kubernetes_validate.latest_version(), strict=True)
            WITHOUT_SCHEMA[each["kind"]](each, objects)
        else:
            kubernetes_validate.validate(each, kubernetes_validate.latest_version(), strict=True)


def test_production_is_watched(production: Sequence[Manifest]) -> None:
    """The overlay for production has its monitor and its alerts."""
    assert {each["kind"] for each in production} >= WITHOUT_SCHEMA.keys()


# ── What they are to be ──────────────────────────────────────────────────────────────────────────────────────────────


def test_nobody_has_more_than_it_needs(objects: Sequence[Manifest]) -> None:
    """No service-account token, not root, a read-only root, no capability, seccomp, limits: in every pod."""
    for name, pod, container in pods(objects):
        assert pod["automountServiceAccountToken"] is False, name
        assert "serviceAccountName" not in pod, name
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        own = container["securityContext"]
        assert own["allowPrivilegeEscalation"] is False, name
        assert own["readOnlyRootFilesystem"] is True, name
        assert own["capabilities"] == {"drop": ["ALL"]}, name
        assert {"requests", "limits"} == container["resources"].keys(), name
        assert not any("hostPath" in volume or "projected" in volume for volume in pod.get("volumes", ())), name
    assert not of_kind(objects, "ServiceAccount")


def test_what_is_under_way_is_finished(objects: Sequence[Manifest]) -> None:
    """The grace period is longer than preStop, drain and grace together, and that longer than any attempt."""
    routes = config.load(K8S / "router/imagegate.yaml", {})
    longest = max(provider.attempt_timeout or 0 for provider in routes.providers.values())
    for name, pod, container in pods(objects):
        if "lifecycle" in container:
            (_, asleep) = container["lifecycle"]["preStop"]["exec"]["command"]
            own = environment(container)
            grace = float(own["IMAGEGATE_GRACE_SECONDS"])
            assert pod["terminationGracePeriodSeconds"] > float(asleep) + float(own["IMAGEGATE_DRAIN_SECONDS"]) + grace
            assert grace > max(longest, 300)
        else:
            assert container["args"][0] == "imagegate.sandbox", name


def test_readiness_is_grpc_health(objects: Sequence[Manifest]) -> None:
    """S3: Kubernetes asks gRPC health with an empty service name, which never depends on an upstream."""
    for _, _, container in pods(objects):
        if container["args"][0] != "imagegate.sandbox":
            assert container["readinessProbe"]["grpc"] == {"port": 50051}
            assert container["livenessProbe"]["httpGet"]["path"] == "/livez"


def test_a_providers_replicas_share_its_limits(objects: Sequence[Manifest]) -> None:
    """R9: IMAGEGATE_REPLICAS is the number of replicas, and nobody scales what holds an upstream's limits."""
    scaled = {each["spec"]["scaleTargetRef"]["name"] for each in of_kind(objects, "HorizontalPodAutoscaler").values()}
    deployments = of_kind(objects, "Deployment")
    for name, _, container in pods(objects):
        if container["args"][0] == "imagegate.providers":
            assert environment(container)["IMAGEGATE_REPLICAS"] == str(deployments[name]["spec"]["replicas"])
            assert name not in scaled
        if name in scaled:
            assert "replicas" not in deployments[name]["spec"]
    assert scaled <= deployments.keys()


def test_each_secret_is_mounted_where_it_belongs_only(objects: Sequence[Manifest]) -> None:
    """A provider has its own Secret and no other, as files; the edge has its own, the router has none."""
    wanted = {f"provider-{name}": {f"provider-{name}"} for name in providers()} | {"edge": {"edge"}}
    for name, pod, container in pods(objects):
        mounted = {volume["secret"]["secretName"] for volume in pod.get("volumes", ()) if "secret" in volume}
        read = {
            each["valueFrom"]["secretKeyRef"]["name"] for each in container.get("env", ()) if "valueFrom" in each
        } | {each["secretRef"]["name"] for each in container.get("envFrom", ())}
        assert mounted | read == wanted.get(name, set()), name
        assert not read or name == "edge"  # libraries that know variables only


def test_what_belongs_together_finds_each_other(objects: Sequence[Manifest]) -> None:
    """Each Service and each disruption budget selects the pods of exactly one workload."""
    labels = {
        name: each["spec"]["template"]["metadata"]["labels"] for name, each in of_kind(objects, "Deployment").items()
    }
    for kind in ("Service", "PodDisruptionBudget"):
        for name, each in of_kind(objects, kind).items():
            selector = each["spec"]["selector"]
            found = [who for who, has in labels.items() if selector.get("matchLabels", selector).items() <= has.items()]
            assert found == [name], kind


def test_a_provider_is_about_ten_lines() -> None:
    """What every provider's workload is stands in one place; one more is at most fifteen lines."""
    assert len(providers()) >= 3
    for name in providers():
        assert [path.name for path in (K8S / "providers" / name).iterdir()] == ["kustomization.yaml"]
        assert len((K8S / "providers" / name / "kustomization.yaml").read_text().splitlines()) <= 15, name


def test_the_routes_are_the_packaged_ones() -> None:
    """The cluster's configuration can be used, and says what the packaged one says, but for what stands above it."""
    packaged = config.config_path({})
    own = K8S / "router/imagegate.yaml"
    assert body(own) == body(packaged)
    assert config.load(own, {}).hash == config.load(packaged, {}).hash


def body(file: Path) -> str:
    return re.sub(r"\A(#.*\n)+", "", file.read_text())


def test_only_providers_reach_the_internet(production: Sequence[Manifest]) -> None:
    """Router and edge reach no public address, providers nothing else; a self-hosted engine is its provider's."""
    policies = of_kind(production, "NetworkPolicy")
    public = {
        name
        for name, policy in policies.items()
        for rule in egress(policy)
        for peer in rule["to"]
        if "ipBlock" in peer
        if (block := ip_network(peer["ipBlock"]["cidr"])).is_global or block.prefixlen < 8
    }
    assert public == {"providers-reach-their-upstream"}
    (rule,) = egress(policies["providers-reach-their-upstream"])
    excepted = {each for peer in rule["to"] for each in peer["ipBlock"].get("except", ())}
    assert {"10.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"} <= excepted
    webuis = {"provider-automatic1111"}
    deployments = of_kind(production, "Deployment")
    assert webuis == {
        name
        for name, each in deployments.items()
        if each["spec"]["template"]["metadata"]["labels"].get("imagegate.io/upstream") == "engine"
    }
    engine = policies["engine-is-reached-by-its-provider-only"]
    (rule,) = engine["spec"]["ingress"]
    assert [peer["podSelector"]["matchLabels"] for peer in rule["from"]] == [{"imagegate.io/upstream": "engine"}]


def test_the_edge_reaches_what_it_keeps_pictures_in(production: Sequence[Manifest]) -> None:
    """Where pictures are in S3 and records in PostgreSQL, the policies let the edge there, and nowhere else."""
    (container,) = [container for name, _, container in pods(production) if name == "edge"]
    assert environment(container)["IMAGEGATE_EDGE_PICTURES"].startswith("s3://")
    assert "IMAGEGATE_EDGE_DATABASE" in environment(container)
    component = {"matchLabels": {"app.kubernetes.io/component": "edge"}}
    allowed = [
        (port["port"], sorted(each for peer in rule["to"] for each in peer))
        for policy in of_kind(production, "NetworkPolicy").values()
        if policy["spec"]["podSelector"] == component
        for rule in egress(policy)
        for port in rule["ports"]
    ]
    assert sorted(allowed) == [
        (443, ["ipBlock"]),
        (5432, ["ipBlock", "namespaceSelector"]),
        (50051, ["podSelector"]),
        (50052, ["podSelector"]),
    ]


def egress(policy: Manifest) -> Sequence[Manifest]:
    found: Sequence[Manifest] = policy["spec"].get("egress", ())
    return found


# ── What the operator's page changes ─────────────────────────────────────────────────────────────────────────────────


def test_what_the_page_changes_can_be_applied(kubectl: Path, tmp_path: Path) -> None:
    """S3: a copy of the overlay for production takes the page's files as they are written: routes, a price, a second
    webui with a Service, a Secret and a label of its own, behind the same policies.
    """
    k8s = tmp_path / "k8s"
    shutil.copytree(K8S, k8s)
    mine = k8s / "overlays/mine"
    shutil.copytree(K8S / "overlays/production", mine)
    shutil.copy(K8S / "router/imagegate.yaml", mine)
    for name, block in re.findall(r"```yaml\n# (\S+)\n(.*?)```", (K8S / "README.md").read_text(), re.DOTALL):
        file = k8s / name
        file.parent.mkdir(exist_ok=True)
        had = yaml.safe_load(file.read_text()) if file.exists() else {}
        file.write_text(yaml.safe_dump(with_more(had, yaml.safe_load(block))))
    run(Path(sys.executable).with_name("imagegate"), "config", "check", mine / "imagegate.yaml", mine / "fal.yaml")
    applied = rendered(kubectl, mine)
    for each in applied:
        if each["kind"] not in WITHOUT_SCHEMA:
            kubernetes_validate.validate(each, kubernetes_validate.latest_version(), strict=True)
    test_what_belongs_together_finds_each_other(applied)
    maps = of_kind(applied, "ConfigMap")
    assert "automatic1111-attic/local" in yaml.safe_load(maps["router"]["data"]["imagegate.yaml"])["routes"]["default"]
    assert yaml.safe_load(maps["models"]["data"]["fal.yaml"])["models"]["flux-schnell"]["credits"]
    (attic,) = [each for each in pods(applied) if each[0] == "provider-automatic1111-attic"]
    assert environment(attic[2])["SD_API_URL"] == "http://webui-attic:7860"
    assert [volume["secret"]["secretName"] for volume in attic[1]["volumes"] if "secret" in volume] == [attic[0]]
    template = of_kind(applied, "Deployment")[attic[0]]["spec"]["template"]
    assert template["metadata"]["labels"]["imagegate.io/upstream"] == "engine"


def with_more(had: Manifest, more: Manifest) -> Manifest:
    """What somebody has who writes `more` into a file: lists of resources and generators grow, routes are replaced."""
    merged = dict(had)
    for key, value in more.items():
        if isinstance(value, dict):
            merged[key] = with_more(had.get(key, {}), value)
        elif key in ("resources", "configMapGenerator"):
            merged[key] = [*had.get(key, ()), *value]
        else:
            merged[key] = value
    return merged


# ── What builds and starts them ──────────────────────────────────────────────────────────────────────────────────────


def test_the_dockerfile_is_clean() -> None:
    """hadolint finds nothing to say."""
    run(Path(sys.executable).with_name("hadolint"), ROOT / "deploy/Dockerfile")


def test_every_script_is_clean() -> None:
    """shellcheck finds nothing to say of any shell script of ours."""
    files = [ROOT / path for path in run("git", "-C", ROOT, "ls-files").splitlines()]
    scripts = [
        path for path in files if path.suffix == ".sh" or path.read_bytes()[:20].startswith(b"#!/usr/bin/env bash")
    ]
    assert {path.name for path in scripts} >= {"image.sh", "run"}
    run(Path(sys.executable).with_name("shellcheck"), *scripts)
