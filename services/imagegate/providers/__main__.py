"""`python -m imagegate.providers NAME`: one provider as a gRPC service of its own.

NAME is a folder beside this file; a folder is the plugin, there is no list of them.
"""

import argparse
import asyncio
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import uvloop
from prometheus_client import CollectorRegistry

from imagegate.runtime import malloc
from imagegate.runtime.limits import DailyQuota, Limits, Rate
from imagegate.runtime.metrics import ProcessMetrics, ProviderMetrics
from imagegate.runtime.models_file import CatalogueError
from imagegate.runtime.provider import Provider
from imagegate.runtime.redaction import Redactor
from imagegate.runtime.server import serving, until_told_to_stop
from imagegate.runtime.service import ProviderService
from imagegate.runtime.settings import ProcessSettings, ProviderSettings, SettingsError
from imagegate.runtime.telemetry import configure_logging

HERE = Path(__file__).parent


def names() -> list[str]:
    """The providers there are."""
    return sorted(path.parent.name for path in HERE.glob("*/provider.py"))


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
    provider = create(name, environ, redactor)
    metrics = ProcessMetrics(CollectorRegistry())
    models = tuple(model.key for model in provider.catalogue.models)
    service = ProviderService(
        provider,
        limits=limits_of(name, provider, environ),
        metrics=ProviderMetrics(metrics.registry, name, models),
        redactor=redactor,
        log_prompts=settings.log_prompts,
    )
    try:
        async with serving(service.services(), settings, metrics, redactor):
            await until_told_to_stop()
    finally:
        await provider.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one provider; the exit code is 2 where its settings are wrong."""
    malloc.tune()
    parser = argparse.ArgumentParser(prog="python -m imagegate.providers", description=__doc__)
    parser.add_argument("name", choices=names(), help="which provider")
    name = parser.parse_args(arguments).name
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(name, os.environ))
    except (SettingsError, CatalogueError) as error:
        print(f"provider {name} cannot start: {error}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
