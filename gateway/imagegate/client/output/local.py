"""What `up` started, keys that were made, and what is wrong with files."""

from collections.abc import Collection, Mapping, Sequence

from rich.console import Console

from imagegate.client.address import DEFAULT_ROUTER
from imagegate.client.edge_file import EdgeAddress
from imagegate.client.key import KEYS_VARIABLE
from imagegate.client.output.screen import line
from imagegate.client.running import Running


def print_running(out: Console, running: Running) -> None:
    """Everything that runs, and how to use it."""
    line(out, f"imagegate is ready on {running.router.address} (metrics: {running.router.metrics})", style="bold green")
    line(out, f"  admin          {running.admin}  for `imagegate breaker`")
    line(out, f"  edge           {running.edge.address}  for browsers and whoever speaks HTTP")
    for name, service in running.providers.items():
        on = "on, SANDBOX" if name in running.sandboxed else "on"
        line(out, f"  {name:13}  {service.address:21}  {f'off: {service.off}' if service.off else on}")
    for name, why in running.not_started.items():
        line(out, f"  {name:13}  {'not started':21}  off: {why}")
    if running.sandbox:
        line(out, f"  sandbox        {running.sandbox} (world {running.world}): its pictures are no model's work")
    router = "" if running.router.address == DEFAULT_ROUTER else f" --router {running.router.address}"
    if running.key:
        line(out, f"  key            {running.key}  an operator's, until this stops")
        line(out, f"page: {EdgeAddress(running.edge.address, running.key).link}")
    else:
        line(out, f"page: {EdgeAddress(running.edge.address).link}  (it asks for one of your keys)")
    line(out, f'try: imagegate generate "a lighthouse at dusk"{router}   (Ctrl-C here stops everything)')


def print_key(out: Console, key: str, entry: str) -> None:
    """A new key, and what to put where, so that it is one."""
    line(out, key)
    line(out, f"shown this once; it holds where this stands below `keys:` in {KEYS_VARIABLE} or {KEYS_VARIABLE}_FILE:")
    line(out, f"  {entry}")


def print_problems(out: Console, found: Mapping[str, Sequence[str]], overlays: Collection[str]) -> None:
    """Every problem of each file, or that it is good, and as what where it is one of the `overlays`."""
    for file, problems in found.items():
        good = "good, as an overlay of models" if file in overlays else "good"
        for problem in problems or [good]:
            line(out, f"{file}: {problem}")
