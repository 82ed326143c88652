"""The repository has the shape that was ordered, and installs as one distribution."""

import importlib
import importlib.metadata
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE_ROOTS = ("gateway", "services", "protos")
TOP_LEVEL = {
    "protos", "services", "gateway", "tests", "deploy", "Makefile", "pyproject.toml", "README.md",
    "LICENSE", "CHANGELOG.md", "SECURITY.md", "THREAT_MODEL.md", "requirements.lock", "requirements-dev.lock",
}  # fmt: skip


# What `make` makes; git ignores it.
MADE_HERE = {"build", "dist", "demo-pictures"}


def sources() -> list[Path]:
    """Every Python file of ours, relative to the top level."""
    return [path.relative_to(ROOT) for root in (*SOURCE_ROOTS, "tests") for path in (ROOT / root).rglob("*.py*")]


def test_the_top_level_is_exactly_the_one_ordered() -> None:
    """S5: protos, services, gateway, tests, deploy, Makefile, pyproject.toml, README.md, and the usual files."""
    found = {path.name for path in ROOT.iterdir() if not path.name.startswith(".")}
    assert found - MADE_HERE == TOP_LEVEL


def test_the_ordered_libraries_are_what_it_is_built_with() -> None:
    """S4: Python with grpcio, grpcio-tools, protobuf, aiohttp, pillow, prometheus-client, pytest, pytest-asyncio."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    runtime = " ".join(project["project"]["dependencies"])
    development = " ".join(project["dependency-groups"]["dev"])
    for name in ("grpcio", "protobuf", "aiohttp", "pillow", "prometheus-client"):
        assert f"{name}>=" in runtime
    for name in ("grpcio-tools", "pytest", "pytest-asyncio"):
        assert name in development


def test_no_file_hides_the_other_roots_of_the_namespace() -> None:
    """One stray imagegate/__init__.py in any root would hide the other two."""
    for root in SOURCE_ROOTS:
        assert (ROOT / root / "imagegate").is_dir()
        assert not (ROOT / root / "imagegate" / "__init__.py").exists()
    for module in ("imagegate.v1.generation_pb2", "imagegate.runtime.errors", "imagegate.client", "imagegate.router"):
        importlib.import_module(module)


def test_the_lock_files_hold_names_versions_and_hashes_only() -> None:
    """A lock file names no index and no address, and pins everything by hash."""
    for name in ("requirements.lock", "requirements-dev.lock"):
        for line in (ROOT / name).read_text().splitlines():
            words = line.removesuffix("\\").strip()
            assert words.startswith("--hash=sha256:") or "==" in words, line
            assert "://" not in words, line
    runtime = {line.split("==")[0] for line in (ROOT / "requirements.lock").read_text().splitlines() if "==" in line}
    assert {"grpcio", "aiohttp", "pillow"} <= runtime
    assert "pytest" not in runtime


def test_nothing_generated_lies_outside_the_protos() -> None:
    """Generated code stands beside its proto and nowhere else; nothing there is written by hand in Python."""
    for path in sources():
        if path.suffix in (".py", ".pyi"):
            assert ("_pb2" in path.name) == (path.parts[0] == "protos"), path


def test_the_distribution_has_one_name() -> None:
    """Distribution, namespace, command and proto package are all called imagegate."""
    assert importlib.metadata.version("imagegate")
    commands = importlib.metadata.distribution("imagegate").entry_points
    assert [entry.value for entry in commands if entry.name == "imagegate"] == ["imagegate.client.cli:main"]


def test_every_provider_has_the_shape_of_its_siblings() -> None:
    """A provider is a folder with its siblings' files, a stand-in and contract tests; this finds it by itself."""
    folders = [path.parent for path in (ROOT / "services/imagegate/providers").glob("*/provider.py")]
    assert len(folders) >= 4
    for folder in folders:
        has = {path.name for path in folder.iterdir()}
        assert {"__init__.py", "provider.py", "models.yaml"} <= has, folder.name
        if "wire.py" not in has:
            assert folder.name == "sketch"  # which talks to nobody
            continue
        assert (ROOT / f"tests/unit/providers/test_{folder.name}_wire.py").exists(), folder.name
        assert (ROOT / f"tests/contract/providers/test_{folder.name}.py").exists(), folder.name
        assert (ROOT / f"services/imagegate/sandbox/{folder.name}.py").exists(), folder.name


def test_every_link_of_the_documents_leads_somewhere() -> None:
    """A relative link in a README that leads nowhere is a lie."""
    for document in (*ROOT.glob("*.md"), *ROOT.glob("*/*.md"), *ROOT.glob("deploy/*/*.md")):
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.relative_to(ROOT)}: {target}"
