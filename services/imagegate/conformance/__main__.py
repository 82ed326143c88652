"""`python -m imagegate.conformance HOST:PORT`: whether the provider service there keeps what a provider has to keep.

Start it with the sandbox in its upstream's place. Against a real upstream it makes about five small pictures, which
cost what they cost, and the recorded answers are left out.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from imagegate.client import exits
from imagegate.client.commands.options import MAX_TIMEOUT
from imagegate.client.output import console
from imagegate.client.transport import TransportFields, transport_of
from imagegate.conformance.body import upstreams
from imagegate.conformance.kit import DEFAULT_SANDBOX, CannotTestError, Options, Outcome, run
from imagegate.conformance.report import as_json, print_outcome
from imagegate.conformance.row import Row
from imagegate.runtime.settings import SettingsError
from imagegate.runtime.transport import Transport


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 all kept, 1 something was not, 2 usage, or the provider or the sandbox cannot be used."""
    given = _parser().parse_args(arguments)
    try:
        options = _options(given)
        with _progress() as progress:
            outcome = asyncio.run(_run(options, progress))
    except CannotTestError as error:
        exits.tell_usage(str(error), as_json=given.json)
        return exits.USAGE
    except (KeyboardInterrupt, asyncio.CancelledError):
        return exits.INTERRUPTED
    if given.json:
        sys.stdout.write(json.dumps(as_json(outcome), ensure_ascii=False) + "\n")
    else:
        print_outcome(console(), outcome)
    if outcome.problem:
        sys.stderr.write(f"imagegate: {outcome.problem}\n")
    return outcome.exit_code


async def _run(options: Options, hear: Callable[[Row], None]) -> Outcome:
    """As `run`; whoever is told to end, by Ctrl-C or SIGTERM, still leaves the sandbox as it was."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 a coroutine of asyncio.run is one
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await run(options, hear)


class _Progress:
    """Says which duty was tried last."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("asking the provider", total=None)

    def __call__(self, row: Row) -> None:
        self._progress.update(self._task, description=f"{row.id}: {row.verdict}")


@contextmanager
def _progress() -> Iterator[_Progress]:
    """On standard error, and only where somebody looks."""
    err = console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        yield _Progress(progress)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="imagegate conformance", description=__doc__)
    parser.add_argument("address", metavar="HOST:PORT", help="the provider's gRPC service")
    parser.add_argument("--sandbox", metavar="URL", default="", help=f"the sandbox ({DEFAULT_SANDBOX}, if it answers)")
    parser.add_argument("--upstream", default="", help=f"whose answers to play: {', '.join(upstreams())} (by its name)")
    parser.add_argument("--timeout", metavar="SECONDS", type=float, default=30.0, help="for each call (30)")
    parser.add_argument("--tls", action="store_true", help="over TLS (IMAGEGATE_TLS; any file below means it, too)")
    parser.add_argument("--ca", metavar="FILE", type=Path, help="whom to believe, PEM (IMAGEGATE_TLS_CA_FILE)")
    parser.add_argument("--cert", metavar="FILE", type=Path, help="who we are (IMAGEGATE_TLS_CERT_FILE)")
    parser.add_argument("--key", metavar="FILE", type=Path, help="its key (IMAGEGATE_TLS_KEY_FILE)")
    parser.add_argument("--json", action="store_true", help="print JSON for programs")
    return parser


def _options(given: argparse.Namespace) -> Options:
    """What was asked for. Raises CannotTestError where it makes no sense."""
    if urlsplit(given.address).scheme in {"http", "https", "grpc", "grpcs"} or ":" not in given.address:
        raise CannotTestError(f"{given.address!r} is not HOST:PORT, for example 127.0.0.1:50061")
    if given.sandbox and urlsplit(given.sandbox).scheme not in {"http", "https"}:
        raise CannotTestError(f"--sandbox {given.sandbox!r} is not a URL, for example {DEFAULT_SANDBOX}")
    if given.upstream and given.upstream not in upstreams():
        raise CannotTestError(f"nothing is recorded of {given.upstream!r}; --upstream takes {', '.join(upstreams())}")
    if not 0 < given.timeout <= MAX_TIMEOUT:
        raise CannotTestError(f"--timeout {given.timeout:g} is not a number of seconds, up to {MAX_TIMEOUT:g}")
    return Options(
        given.address, given.sandbox, upstream=given.upstream, timeout=given.timeout, transport=_transport(given)
    )


def _transport(given: argparse.Namespace) -> Transport:
    """The way to the provider; the key is that of IMAGEGATE_TOKEN. Raises CannotTestError where it is none."""
    fields = TransportFields(tls=given.tls or None, ca=given.ca, cert=given.cert, key=given.key)
    try:
        return transport_of(fields, os.environ)
    except SettingsError as error:
        raise CannotTestError(str(error)) from error


if __name__ == "__main__":
    sys.exit(main())
