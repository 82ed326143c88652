"""What the command line prints for people."""

import io

import pytest
from rich.console import Console

from imagegate.client import output
from imagegate.client.result import Attempt
from imagegate.v1 import catalog_pb2, error_pb2, router_pb2

EVIL = "\x1b]0;owned\x07\x1b[2J\u202e"


def a_console() -> Console:
    return Console(file=io.StringIO(), width=400, highlight=False, markup=False, emoji=False, color_system=None)


def printed(out: Console) -> str:
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


MODEL = catalog_pb2.Model(provider=f"p{EVIL}", key=f"k{EVIL}", tier=f"t{EVIL}", upstream_model=f"u{EVIL}")
PROVIDER = catalog_pb2.Provider(name=f"p{EVIL}", disabled_reason=f"d{EVIL}")
ERROR = router_pb2.LastError(message=f"e{EVIL}")
STATUS = router_pb2.RouterStatus(
    providers=[
        router_pb2.ProviderStatus(
            name=f"p{EVIL}",
            disabled_reason=f"d{EVIL}",
            last_error=ERROR,
            models=[router_pb2.ModelStatus(key=f"k{EVIL}", last_error=ERROR)],
        )
    ],
    routes=[router_pb2.RouteStatus(name=f"r{EVIL}", candidates=[f"c{EVIL}"])],
)
ATTEMPT = error_pb2.Attempt(
    provider=f"p{EVIL}", model=f"k{EVIL}", message=f"m{EVIL}", upstream_message=f"u{EVIL}", remedy=f"r{EVIL}"
)


@pytest.mark.parametrize(
    ("show", "shown"),
    [
        (lambda out: output.print_models(out, catalog_pb2.ListModelsResponse(models=[MODEL], providers=[PROVIDER])), 6),
        (lambda out: output.print_status(out, STATUS, with_models=True), 7),
        (lambda out: output.print_attempts(out, [Attempt.of(ATTEMPT)]), 5),
    ],
    ids=["models", "status", "attempts"],
)
def test_nothing_from_the_wire_steers_the_terminal(show, shown) -> None:
    """R14: whatever a router or an upstream calls something, it is shown as words."""
    out = a_console()
    show(out)
    text = printed(out)
    assert text.replace("\n", "").isprintable()
    assert text.count("owned") == shown
