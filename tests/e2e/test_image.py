"""The image, as `make image` builds it: what is in it and what is not, and every process from it."""

import hashlib
import json
import re
import subprocess
import tarfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from imagegate.testing import fronted
from imagegate.testing.system import PROVIDERS

from .conftest import SECRETS
from .containers import BARE, IMAGE, ROOT, Engine
from .ports import free_ports

pytestmark = pytest.mark.timeout(1200)  # the first one waits for the image
STOPS_WITHIN_SECONDS = 10.0
SITE = "opt/imagegate/lib/python3.11/site-packages"


@pytest.fixture(scope="module")
def about(engine: Engine, image: str) -> Mapping[str, Any]:
    """What the engine tells of the image."""
    assert image
    (found,) = json.loads(engine.podman("image", "inspect", IMAGE))
    told: Mapping[str, Any] = found
    return told


@pytest.fixture(scope="module")
def own_layers(engine: Engine, about: Mapping[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Sequence[Path]:
    """The layers that lie upon the base's, each as a tar file."""
    folder = tmp_path_factory.mktemp("layers")
    engine.podman("save", "--format=docker-dir", f"--output={folder / 'image'}", IMAGE, timeout=300)
    count = len(about["RootFS"]["Layers"]) - 1
    assert count >= 1
    manifest = json.loads((folder / "image/manifest.json").read_text())
    return [folder / "image" / layer["digest"].removeprefix("sha256:") for layer in manifest["layers"][-count:]]


def inside(engine: Engine, script: str) -> str:
    """What a shell says in a container of the image, which is given nothing."""
    return engine.podman("run", "--rm", *BARE, "--entrypoint=sh", IMAGE, "-c", script)


def files(layers: Sequence[Path]) -> Iterator[tuple[str, bytes]]:
    """Every file of the layers, those that a later one takes away among them."""
    for layer in layers:
        with tarfile.open(layer) as tar:
            for member in tar:
                if member.isfile() and (content := tar.extractfile(member)) is not None:
                    yield member.name, content.read()


# ── What is in it ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_make_image_says_which_engine_it_used(
    image: str, about: Mapping[str, Any], record_property: Callable[[str, object], None]
) -> None:
    """S3: `make image` builds the image, and says with which engine; its size is printed."""
    assert f"built {IMAGE} with buildah" in image
    record_property("figures", f"the image has {about['Size'] / 1e6:.0f} MB")


def test_it_says_what_it_is_and_who_it_runs_as(about: Mapping[str, Any]) -> None:
    """S3: OCI labels, a user that is a number and not root, a health check, and the router by default."""
    config = about["Config"]
    label = "org.opencontainers.image"
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    assert config["Labels"][f"{label}.version"] == version[1]
    assert {f"{label}.{each}" for each in ("title", "description", "licenses", "revision")} <= config["Labels"].keys()
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["python", "-m"]
    assert config["Cmd"] == ["imagegate.router"]
    assert about["Healthcheck"]["Test"] == ["CMD", "python", "-m", "imagegate.runtime.probe"]


def test_it_lists_what_it_is_made_of(engine: Engine, about: Mapping[str, Any]) -> None:
    """S3: the SBOM that the label names has every locked package in its version, and nothing else but ourselves."""
    sbom = json.loads(inside(engine, f"cat {about['Config']['Labels']['io.imagegate.sbom']}"))
    assert sbom["bomFormat"] == "CycloneDX"
    listed = {each["name"].lower().replace("_", "-"): each["version"] for each in sbom["components"]}
    listed.pop("imagegate", None)
    lines = re.findall(r"^([^\s#-][^\\]*)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    locked = [Requirement(line.strip()) for line in lines]
    wanted = {
        each.name: str(each.specifier).removeprefix("==")
        for each in locked
        if each.marker is None or each.marker.evaluate({"platform_python_implementation": "CPython"})
    }
    assert listed == wanted


def test_nothing_is_built_or_installed_in_it(engine: Engine, about: Mapping[str, Any]) -> None:
    """S3: no compiler, no pip by any name, and no way to make one."""
    assert about
    commands = "gcc cc c++ g++ clang ld as make cargo rustc go pip pip3 uv"
    assert inside(engine, f"for each in {commands}; do command -v $each; done; true") == ""
    for python in ("python", "python3", "/usr/bin/env python3"):
        script = f'{python} -c \'import importlib.util as u; print(u.find_spec("pip"), u.find_spec("ensurepip"))\''
        assert inside(engine, script) == "None None"


def test_nothing_of_whoever_built_it_is_in_it(own_layers: Sequence[Path]) -> None:
    """No key of the environment, no path of the machine, no certificate or setting of it, in any layer."""
    hidden = [value.encode() for value in SECRETS.values()] + [f"{ROOT}/".encode()]
    theirs = {
        hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (Path("/etc/pip.conf"), Path("/etc/ssl/certs/ca-certificates.crt"))
        if path.exists()
    }
    names = set()
    for name, content in files(own_layers):
        names.add(name)
        assert not any(each in content for each in hidden), name
        assert hashlib.sha256(content).hexdigest() not in theirs, name
        assert not content or not name.startswith(("etc/ssl", "etc/pip", "root", "src", "tmp", "wheels")), name
    assert "opt/imagegate/sbom.cdx.json" in names


def test_our_code_in_it_is_what_git_has(own_layers: Sequence[Path]) -> None:
    """No file that lies about in a folder of the code gets into the image, a `.env` or a key for instance."""
    command = ("git", "ls-files", "--cached", "--others", "--exclude-standard", "protos", "services", "gateway")
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    ours = {"imagegate/" + path.partition("/imagegate/")[2] for path in listed if "/imagegate/" in path}
    packed = {name.removeprefix(f"{SITE}/") for name, _ in files(own_layers) if name.startswith(f"{SITE}/imagegate/")}
    assert packed
    assert {name for name in packed if "__pycache__" not in name} <= ours


# ── Every process from it ────────────────────────────────────────────────────────────────────────────────────────────

COMMANDS: Mapping[str, tuple[Sequence[str], Sequence[str]]] = {
    **{name: (("imagegate.providers", name), ()) for name in (*PROVIDERS, "sketch")},
    "router": ((), ()),
    "edge": (("imagegate.edge",), ("--volume=/data",)),
}


def environment() -> Mapping[str, str]:
    """Ports of this machine's own address that nobody has."""
    names = ("IMAGEGATE_PORT", "IMAGEGATE_HTTP_PORT", "IMAGEGATE_ADMIN_PORT", "IMAGEGATE_EDGE_PORT")
    own = {name: str(port) for name, port in zip(names, free_ports(len(names)), strict=True)}
    return {**own, "IMAGEGATE_BIND": "127.0.0.1", "IMAGEGATE_EDGE_KEYS": fronted.KEYS}


def stopped(engine: Engine, name: str) -> tuple[int, float]:
    """The exit code of a container after SIGTERM, and the seconds that it took."""
    began = time.monotonic()
    engine.podman("stop", "--time=60", name)
    return int(engine.podman("inspect", "--format={{.State.ExitCode}}", name)), time.monotonic() - began


@pytest.mark.parametrize("process", COMMANDS)
def test_every_process_runs_with_nothing_and_ends_when_told(engine: Engine, image: str, process: str) -> None:
    """S3: each command starts without privileges on a read-only root, is well by the image's health check, and SIGTERM
    ends it with exit code 0 in time.
    """
    assert image
    command, options = COMMANDS[process]
    with engine.running(f"e2e-{process}", command, environment(), *options) as name:
        engine.until(name, lambda: engine.tried("healthcheck", "run", name).returncode == 0)
        assert engine.podman("exec", name, "id", "-u") == "10001"
        assert engine.tried("exec", name, "touch", "/opt/imagegate/x").returncode != 0
        code, seconds = stopped(engine, name)
        assert code == 0, engine.tried("logs", name)
        assert seconds < STOPS_WITHIN_SECONDS


def test_the_sandbox_runs_from_it(engine: Engine, image: str) -> None:
    """S3: the stand-ins start, answer, and end when told."""
    assert image
    [port] = free_ports(1)
    with engine.running("e2e-sandbox", ("imagegate.sandbox", "--port", str(port)), {}) as name:

        def answers() -> bool:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/_requests", timeout=3) as answer:
                    return bool(answer.status == 200)
            except OSError:
                return False

        engine.until(name, answers)
        code, seconds = stopped(engine, name)
        assert (code, seconds < STOPS_WITHIN_SECONDS) == (0, True)


def test_conformance_runs_from_it(engine: Engine, image: str) -> None:
    """S1: the image tries a provider that runs from it, and finds that it keeps what a provider has to keep."""
    assert image
    environ = environment()
    target = f"127.0.0.1:{environ['IMAGEGATE_PORT']}"
    with engine.running("e2e-tried", ("imagegate.providers", "sketch"), environ) as name:
        engine.until(name, lambda: engine.tried("healthcheck", "run", name).returncode == 0)
        said = engine.podman("run", "--rm", *BARE, IMAGE, "imagegate.conformance", "--json", target, timeout=300)
    assert json.loads(said)


def test_the_probe_tells_whether_somebody_serves(engine: Engine, image: str) -> None:
    """`python -m imagegate.runtime.probe` ends with 1 where nobody serves."""
    assert image
    [port] = free_ports(1)
    done = engine.tried("run", "--rm", *BARE, IMAGE, "imagegate.runtime.probe", f"127.0.0.1:{port}")
    assert (done.returncode, done.stdout) == (1, "")
