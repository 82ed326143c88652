"""Where the router is."""

from collections.abc import Mapping
from urllib.parse import urlsplit

ROUTER_VARIABLE = "IMAGEGATE_ROUTER"
DEFAULT_ROUTER = "127.0.0.1:50051"


def router_address(given: str | None, environ: Mapping[str, str]) -> str:
    """The router to talk to: `given`, else IMAGEGATE_ROUTER, else the one that `imagegate up` starts here.

    Raises ValueError where it is a web address.
    """
    address = (given or environ.get(ROUTER_VARIABLE) or DEFAULT_ROUTER).strip()
    if urlsplit(address).scheme in {"http", "https", "grpc", "grpcs"}:
        raise ValueError(
            f"{address!r} is a web address; the router is given as HOST:PORT, for example {DEFAULT_ROUTER}"
        )
    return address
