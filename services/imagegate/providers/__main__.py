"""`python -m imagegate.providers NAME`: one provider as a gRPC service of its own; `… --check FILE…` looks at overlays.

NAME is a folder beside this file, or in a folder `imagegate/providers` anywhere on PYTHONPATH: the package is a
namespace. A folder is the plugin, there is no list of them.
"""

import argparse
import asyncio
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog
import uvloop
from pydantic import Field

import imagegate.providers
from imagegate.runtime import memory
from imagegate.runtime.callers import known_by_name
from imagegate.runtime.catalogue_source import SUFFIX, VARIABLE, strangers
from imagegate.runtime.connecting import Network
from imagegate.runtime.entrance import Entrance
from imagegate.runtime.file_check import report
from imagegate.runtime.guard import Guard
from imagegate.runtime.limits import DailyQuota, Limits
from imagegate.runtime.metrics import ProcessMetrics, ProviderMetrics
from imagegate.runtime.models_file import CatalogueError
from imagegate.runtime.poses import PoseTemplates
from imagegate.runtime.provider import Provider
from imagegate.runtime.rate import Rate
from imagegate.runtime.redaction import Redactor
from imagegate.runtime.registry import Registry
from imagegate.runtime.server import serving, until_told_to_stop
from imagegate.runtime.service import ProviderService
from imagegate.runtime.settings import EnvironmentSettings, ProcessSettings, ProviderSettings, SettingsError
from imagegate.runtime.telemetry import configure_logging
from imagegate.runtime.traffic import Traffic
from imagegate.runtime.uri_inputs import UriInputs

log = structlog.get_logger("imagegate.providers")  # as `python -m` this module has another name


class ServingSettings(EnvironmentSettings):
    """What a provider takes besides the settings of every process."""

    # The names (SAN URI, SAN DNS or CN) of the certificates that are let in, separated by commas; by default all.
    allowed_callers: str = Field(default="", alias="ALLOWED_CALLERS")


def guard_of(environ: Mapping[str, str]) -> Guard:
    """Lets in those whose certificates the environment names. Raises SettingsError where none is asked for."""
    listed = ServingSettings.read(environ, "IMAGEGATE_").allowed_callers
    callers = known_by_name(name.strip() for name in listed.split(",") if name.strip())
    asks = ProcessSettings.read(environ, "IMAGEGATE_").tls_client_ca_file is not None
    if not callers.is_open and not asks:
        raise SettingsError(
            "IMAGEGATE_ALLOWED_CALLERS names certificates, which are asked for with IMAGEGATE_TLS_CLIENT_CA_FILE only"
        )
    return Guard(lambda: callers, asks_for_certificates=asks)


def names() -> list[str]:
    """The providers there are."""
    return sorted(
        {path.parent.name for root in imagegate.providers.__path__ for path in Path(root).glob("*/provider.py")}
    )


def create(name: str, environ: Mapping[str, str], redactor: Redactor) -> Provider:
    """The provider called `name`, from its folder."""
    module = importlib.import_module(f"imagegate.providers.{name}.provider")
    provider: Provider = module.create(environ, redactor.add)
    return provider


def limits_of(name: str, provider: Provider, environ: Mapping[str, str]) -> Limits:
    """The operator's limits for this provider, this replica's share of them."""
    settings = ProviderSettings.of(name, environ)
    replicas = ProcessSettings.read(environ, "IMAGEGATE_").replicas
    return Limits(
        concurrency=max((settings.concurrency or provider.concurrency) // replicas, 1),
        rate=Rate(settings.requests_per_second / replicas) if settings.requests_per_second else None,
        quota=DailyQuota(max(settings.requests_per_day // replicas, 1)) if settings.requests_per_day else None,
    )


async def serve(name: str, environ: Mapping[str, str]) -> None:
    """Serve the provider called `name` until SIGTERM or SIGINT.

    Raises SettingsError or CatalogueError where it cannot start.
    """
    settings = ProcessSettings.read(environ, "IMAGEGATE_")
    redactor = Redactor()
    configure_logging(settings, redactor, service=f"provider-{name}")
    guard = guard_of(environ)
    traffic = Traffic.read(environ)
    poses = PoseTemplates(settings.pose_templates)
    provider = create(name, environ, redactor)
    if unread := strangers(environ, names()):
        told = f"the overlay of a provider is called after it: {', '.join(f'{each}{SUFFIX}' for each in names())}"
        log.warning("overlays that nobody reads", folder=environ[VARIABLE], files=unread, remedy=told)
    metrics = ProcessMetrics(Registry())
    models = tuple(model.key for model in provider.catalogue.models)
    entrance = Entrance(poses, uris=UriInputs(network=Network.of(environ)) if settings.input_uris else None)
    service = ProviderService(
        provider,
        limits=limits_of(name, provider, environ),
        metrics=ProviderMetrics(metrics.registry, name, models),
        redactor=redactor,
        log_prompts=settings.log_prompts,
        entrance=entrance,
        poses=poses,
    )
    try:
        async with serving(service.services(), settings, metrics, redactor, traffic=traffic, guard=guard):
            await until_told_to_stop()
    finally:
        await entrance.close()
        await provider.close()


def check(files: Sequence[str], as_json: bool) -> int:
    """Print every problem of overlays, each as it would lie over its provider's models; 2 where there is one."""
    return report({name: _problems(Path(name)) for name in files}, as_json=as_json)


def _problems(overlay: Path) -> list[str]:
    name = overlay.name.removesuffix(SUFFIX)
    if overlay.name != f"{name}{SUFFIX}" or name not in names():
        return [f"an overlay is called after its provider: {', '.join(f'{each}{SUFFIX}' for each in names())}"]
    if not overlay.exists():
        return ["there is no such file"]
    module = importlib.import_module(f"imagegate.providers.{name}.provider")
    try:
        module.models({VARIABLE: str(overlay.parent)})
    except CatalogueError as error:
        return list(error.problems)
    return []


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one provider; the exit code is 2 where its settings are wrong."""
    parser = argparse.ArgumentParser(prog="python -m imagegate.providers", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("name", nargs="?", choices=names(), help="which provider")
    what.add_argument("--check", nargs="+", metavar="FILE", help="say everything that is wrong with overlays of models")
    parser.add_argument("--json", action="store_true", help="with --check: for machines")
    parsed = parser.parse_args(arguments)
    if parsed.check:
        return check(parsed.check, parsed.json)
    name = parsed.name
    memory.tune()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(name, os.environ))
    except (SettingsError, CatalogueError) as error:
        print(f"provider {name} cannot start: {error}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
