"""`python -m imagegate.router`: the router; `… config check FILE…` and `… config show` look at configurations."""

import argparse
import asyncio
import os
import sys
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path

import structlog
import uvloop
from pydantic import Field

from imagegate.router import config as configuration
from imagegate.router.admin_service import AdminFace
from imagegate.router.batch import Batches
from imagegate.router.catalog_service import CatalogFace
from imagegate.router.config import ConfigError, ModelOverrides, RouterConfig
from imagegate.router.events import Listeners
from imagegate.router.generation_service import GenerationFace
from imagegate.router.health import HealthNames
from imagegate.router.history import History
from imagegate.router.hops import Hops
from imagegate.router.lookout import keep_beating, keep_checking_keys, keep_looking
from imagegate.router.metrics import RouterMetrics
from imagegate.router.reload import keep_reloading
from imagegate.router.router import Router
from imagegate.router.router_service import RouterFace
from imagegate.router.status import Scoreboard
from imagegate.runtime import memory
from imagegate.runtime.connecting import Network
from imagegate.runtime.entrance import Entrance
from imagegate.runtime.file_check import report
from imagegate.runtime.guard import Guard
from imagegate.runtime.metrics import ProcessMetrics
from imagegate.runtime.poses import PoseTemplates
from imagegate.runtime.redaction import Redactor
from imagegate.runtime.registry import Registry
from imagegate.runtime.server import also_serving, serving, until_told_to_stop
from imagegate.runtime.settings import EnvironmentSettings, ProcessSettings, SettingsError
from imagegate.runtime.telemetry import configure_logging
from imagegate.runtime.traffic import Traffic
from imagegate.runtime.transport import PREFIX, TransportSettings
from imagegate.runtime.uri_inputs import UriInputs

log = structlog.get_logger("imagegate.router")  # as `python -m` this module has another name

FIRST_READING_SECONDS = 2.0


class BrokenError(Exception):
    """Something without which a router only seems to be well has ended."""


class RouterSettings(EnvironmentSettings):
    """What the router takes besides the settings of every process."""

    admin_port: int = Field(default=50052, ge=0, le=65535, alias="ADMIN_PORT")


async def serve(environ: Mapping[str, str]) -> None:
    """Serve the router until SIGTERM or SIGINT. Raises SettingsError or ConfigError where it cannot start,
    BrokenError where it cannot go on.
    """
    settings = ProcessSettings.read(environ, "IMAGEGATE_")
    traffic = Traffic.read(environ)
    path = configuration.config_path(environ)
    config = configuration.load(path, environ)
    redactor = Redactor()
    configure_logging(settings, redactor, service="router")
    poses = PoseTemplates(settings.pose_templates)
    metrics = ProcessMetrics(Registry())
    calling = TransportSettings.read(environ, PREFIX)
    hops = Hops(calling)
    if calling.is_tls:
        metrics.watch_tls("client", hops.files)
    listeners = Listeners()
    entrance = Entrance(poses, uris=UriInputs(network=Network.of(environ)) if settings.input_uris else None)
    router = Router(ModelOverrides.read(environ), listeners, entrance, keep_prompts=settings.log_prompts, hops=hops)
    scoreboard = Scoreboard(router.catalogues.has)
    listeners.add(RouterMetrics(metrics.registry, router), scoreboard)
    await router.configure(config)
    # Names of models are known from the first call on, if the providers are up; if not, later.
    await router.catalogues.asked_once(within=FIRST_READING_SECONDS)
    history = History(keep_prompts=settings.log_prompts)
    generation = GenerationFace(router, history)
    batches = Batches(generation.answer, router.clock, redactor)
    face = RouterFace(router, scoreboard, history, str(path), batches)
    services = [*generation.services(), *CatalogFace(router, poses).services(), *face.services()]
    admin = AdminFace(router, str(path)).services()
    guard = Guard(lambda: router.callers, asks_for_certificates=settings.tls_client_ca_file is not None)
    port = RouterSettings.read(environ, "IMAGEGATE_").admin_port
    try:
        async with also_serving(
            admin, settings, port, "IMAGEGATE_ADMIN_PORT", metrics, redactor, guard, traffic
        ) as admin_port:
            log.info("admin_listening", grpc=admin_port)
            async with serving(services, settings, metrics, redactor, guard=guard, traffic=traffic) as running:
                try:
                    await working(
                        until_told_to_stop(),
                        reloading=keep_reloading(router, path, environ, listeners),
                        beating=keep_beating(router),
                        looking=keep_looking(router, HealthNames(router, running.tell_health).look),
                        checking_keys=keep_checking_keys(router),
                    )
                finally:
                    face.stop_watching()
    finally:
        await entrance.close()
        await router.close()


async def working(until: Coroutine[None, None, None], **work: Coroutine[None, None, None]) -> None:
    """Do `work`, which has no end, until `until` has ended. Raises BrokenError where some of it ends before."""
    waiting = asyncio.create_task(until)
    tasks = {asyncio.create_task(each): name for name, each in work.items()}
    try:
        await asyncio.wait((waiting, *tasks), return_when=asyncio.FIRST_COMPLETED)
        for task, name in tasks.items():
            if task.done():
                cause = None if task.cancelled() else task.exception()
                log.error("work that has no end has ended", work=name, exc_info=cause)
                raise BrokenError(f"{name} has ended by a bug; the log has more") from cause
        waiting.result()
    finally:
        for task in (waiting, *tasks):
            task.cancel()
        await asyncio.gather(waiting, *tasks, return_exceptions=True)


def check(files: Sequence[str], as_json: bool) -> int:
    """Print every problem of the files; 2 where there is one."""
    return report({name: _problems(Path(name)) for name in files}, as_json=as_json)


def _problems(file: Path) -> list[str]:
    try:
        configuration.load(file)
    except ConfigError as error:
        return error.problems
    return []


def show(config: RouterConfig, as_json: bool) -> int:
    """Print the configuration in force, overrides included."""
    _say(config.model_dump_json(exclude_none=True) if as_json else configuration.dump(config).rstrip())
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code is 2 where settings or a configuration are wrong, 1 where it broke down."""
    parsed = _parser().parse_args(arguments)
    try:
        if parsed.command == "config":
            if parsed.action == "check":
                return check(parsed.files, parsed.json)
            return show(configuration.read(os.environ), parsed.json)
        memory.tune()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(os.environ))
    except (SettingsError, ConfigError) as error:
        what = "the configuration cannot be used" if parsed.command == "config" else "the router cannot start"
        print(f"{what}: {error}", file=sys.stderr)  # noqa: T201
        return 2
    except BrokenError as error:
        print(f"the router stopped: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m imagegate.router", description=__doc__)
    commands = parser.add_subparsers(dest="command")
    actions = commands.add_parser("config", help="look at configurations").add_subparsers(dest="action", required=True)
    checking = actions.add_parser("check", help="say everything that is wrong with files")
    checking.add_argument("files", nargs="+", metavar="FILE")
    showing = actions.add_parser("show", help="print the configuration in force")
    for action in (checking, showing):
        action.add_argument("--json", action="store_true", help="for machines")
    return parser


def _say(text: str) -> None:
    print(text)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
