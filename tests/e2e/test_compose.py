"""compose.yaml, as podman-compose reads it, and what it gives to Prometheus and Grafana."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from imagegate.router import config
from imagegate.testing.system import PROVIDERS

DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """The services, with everything that they share written out."""
    podman_compose = Path(sys.executable).with_name("podman-compose")
    command = [podman_compose, "-f", DEPLOY / "compose.yaml", "config"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = yaml.safe_load(done.stdout)["services"]
    return found


def test_it_is_the_whole_system(services: dict[str, Any]) -> None:
    """A sandbox, every provider, router and edge, Prometheus and Grafana; each command is a process of ours."""
    providers = {f"provider-{name}" for name in PROVIDERS}
    assert services.keys() == providers | {"sandbox", "router", "edge", "prometheus", "grafana"}
    for name in services.keys() - {"prometheus", "grafana"}:
        assert importlib.util.find_spec(f"{services[name]['command'][0]}.__main__"), name
    for name in PROVIDERS:
        assert services[f"provider-{name}"]["command"] == ["imagegate.providers", name]


def test_the_router_finds_its_providers(services: dict[str, Any]) -> None:
    """The packaged configuration names the providers by the names of their services."""
    targets = {provider.target for provider in config.load(config.config_path({}), {}).providers.values()}
    assert targets == {f"dns:///{name}:50051" for name in services if name.startswith("provider-")}


def test_nothing_has_more_than_it_needs(services: dict[str, Any]) -> None:
    """Every container: a read-only root, no capability, no new privileges, a memory limit, and a health check."""
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["mem_limit"], name
        assert service["healthcheck"]["test"][0] == "CMD", name
        assert not service.get("privileged"), name
        assert ":" in service["image"].rpartition("/")[2], name


def test_only_this_machine_reaches_it(services: dict[str, Any]) -> None:
    """Every published port is bound to 127.0.0.1, and no upstream is asked but the sandbox."""
    for name, service in services.items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name
        assert service.get("network_mode") is None, name
        for variable, value in (service.get("environment") or {}).items():
            assert "://" not in str(value) or "sandbox:8090" in value or value == "dns:///router:50051", variable


def test_every_file_that_is_mounted_is_here_and_read_only(services: dict[str, Any]) -> None:
    """A file that is missing would be mounted as an empty folder."""
    mounts = [mount for service in services.values() for mount in service.get("volumes", ()) if mount.startswith(".")]
    assert mounts
    for mount in mounts:
        source, _, rest = mount.partition(":")
        assert (DEPLOY / source).is_file(), mount
        assert rest.endswith(":ro"), mount


def test_prometheus_scrapes_every_process_of_ours(services: dict[str, Any]) -> None:
    """Each process but the sandbox is a target, and nothing else is."""
    jobs = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())["scrape_configs"]
    targets = [target for job in jobs for each in job["static_configs"] for target in each["targets"]]
    ours = services.keys() - {"sandbox", "prometheus", "grafana"}
    assert sorted(targets) == sorted(f"{name}:9464" for name in ours)
