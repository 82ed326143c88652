"""`python -m imagegate.sandbox`: every upstream's stand-in on one port.

`SD_API_AUTH` (user:password), where set, is asked of the webui's callers as --api-auth would.
"""

import argparse
import asyncio
import errno
import json
import os
import signal
import sys

from imagegate.sandbox.app import Sandbox, serving
from imagegate.sandbox.huggingface_models import World


def main() -> int:
    """Serve until SIGTERM or SIGINT. The exit code: 0, or 1 when the port cannot be had."""
    options = _parser().parse_args()
    try:
        asyncio.run(_serve(options, os.environ.get("SD_API_AUTH") or None))
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL):
            raise
        where = f"{options.bind}:{options.port}"
        why = os.strerror(error.errno).lower()
        sys.stderr.write(f"imagegate sandbox: cannot listen on {where}: {why}; choose another with --port (0: any)\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="imagegate sandbox", description="Local stand-ins of the upstreams.")
    parser.add_argument("--port", type=int, default=8090, help="0 takes a free one")
    parser.add_argument("--bind", default="127.0.0.1", help="the address to listen on")
    parser.add_argument("--world", choices=["today", "2025"], default="today", help="which upstreams' behaviour")
    parser.add_argument("--people", action="store_true", help="say where it listens to people, not as JSON")
    return parser


async def _serve(options: argparse.Namespace, webui_auth: str | None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    world: World = "2025" if options.world == "2025" else "today"
    async with serving(world, options.port, options.bind, webui_auth=webui_auth) as sandbox:
        sys.stdout.write(_announcement(sandbox, world, people=options.people) + "\n")
        sys.stdout.flush()
        await stop.wait()


def _announcement(sandbox: Sandbox, world: World, *, people: bool) -> str:
    if people:
        return f"the sandbox listens on {sandbox.url} (world {world}); Ctrl-C stops it"
    return json.dumps({"event": "listening", "http": sandbox.port, "address": sandbox.url})


if __name__ == "__main__":
    sys.exit(main())
