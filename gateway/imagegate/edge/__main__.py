"""`python -m imagegate.edge`: the edge."""

import asyncio
import os
import sys
from collections.abc import Callable, Mapping

import structlog
import uvloop

from imagegate.client.address import ADMIN_VARIABLE, ROUTER_VARIABLE, router_address
from imagegate.client.key import KEYS_VARIABLE, Role, as_document, entry
from imagegate.edge import database, house
from imagegate.edge.keys import Keyring
from imagegate.edge.serving import serving_http
from imagegate.edge.settings import LINK_KEYS_VARIABLE, EdgeSettings
from imagegate.runtime import memory
from imagegate.runtime.bearer import new_key
from imagegate.runtime.metrics import ProcessMetrics, watch_in_force
from imagegate.runtime.redaction import Redactor
from imagegate.runtime.registry import Registry
from imagegate.runtime.server import serving, until_told_to_stop
from imagegate.runtime.settings import ProcessSettings, Secret, SettingsError, is_loopback
from imagegate.runtime.telemetry import configure_logging
from imagegate.runtime.traffic import Traffic
from imagegate.runtime.transport import TOKEN_VARIABLE

log = structlog.get_logger("imagegate.edge")

# Whose pictures those are that were made with the key of this process.
DEVELOPER = "development"


async def serve(environ: Mapping[str, str]) -> None:
    """Serve the edge until SIGTERM or SIGINT. Raises SettingsError where it cannot start."""
    process = ProcessSettings.read(environ, "IMAGEGATE_")
    settings = EdgeSettings.of(environ)
    redactor = Redactor()
    configure_logging(process, redactor, service="edge")
    _hide_passwords(environ, settings, redactor)
    keyring = _keyring(environ, process.bind, redactor)
    traffic = Traffic.read(environ)
    metrics = ProcessMetrics(Registry())
    watch_in_force(metrics.registry, "keys", lambda: keyring.revision, lambda: keyring.is_current)
    router, admin = _router(environ), environ.get(ADMIN_VARIABLE, "")
    async with house.opened(settings, router, keyring, _link_keys(environ, redactor), admin) as parts:
        app = parts.front(metrics, redactor).app()
        quiet, grace = process.drain_seconds, process.grace_seconds
        async with serving_http(app, process.bind, settings.port, grace, quiet_seconds=quiet) as port:
            log.info("edge_listening", http=port)
            async with serving([], process, metrics, redactor, traffic=traffic):
                await until_told_to_stop()
                parts.leave()


def main() -> int:
    """Run the edge; the exit code is 2 where settings are wrong."""
    memory.tune()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(os.environ))
    except SettingsError as error:
        print(f"the edge cannot start: {error}", file=sys.stderr)  # noqa: T201
        return 2
    return 0


def _keyring(environ: Mapping[str, str], bind: str, redactor: Redactor) -> Keyring:
    """The configured keys; on this machine only, one that is printed where there are none."""
    secret = Secret(KEYS_VARIABLE, environ, redactor.add)
    if secret.value():
        return Keyring.of(secret)
    if file := environ.get(f"{KEYS_VARIABLE}_FILE"):
        raise SettingsError(f"{KEYS_VARIABLE}_FILE: {file} cannot be read, or is empty")
    if not is_loopback(bind):
        raise SettingsError(
            f"{KEYS_VARIABLE} or {KEYS_VARIABLE}_FILE is needed where others can reach it; "
            "make a key with `imagegate key --user NAME`"
        )
    key = new_key()
    print(f"no keys are configured; this one holds until the edge stops: {key}", file=sys.stderr)  # noqa: T201
    redactor.add(key)
    document = as_document(entry(key, DEVELOPER, Role.OPERATOR))
    return Keyring(lambda: document)


def _router(environ: Mapping[str, str]) -> str:
    try:
        return router_address(None, environ)
    except ValueError as error:
        raise SettingsError(f"{ROUTER_VARIABLE}: {error}") from None


def _hide_passwords(environ: Mapping[str, str], settings: EdgeSettings, redactor: Redactor) -> None:
    """What lets the edge into its database and its bucket stays out of the log."""
    secrets = [environ.get(name, "") for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", TOKEN_VARIABLE)]
    if settings.database:
        secrets.append(database.password_of(settings.database))
    for secret in filter(None, secrets):
        redactor.add(secret)


def _link_keys(environ: Mapping[str, str], redactor: Redactor) -> Callable[[], str]:
    secret = Secret(LINK_KEYS_VARIABLE, environ, redactor.add)
    return secret.value if secret.value() else house.some_link_key()


if __name__ == "__main__":
    sys.exit(main())
