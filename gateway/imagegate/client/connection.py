"""Where the router is, and how a channel to it is set up."""

import json
from collections.abc import Mapping
from urllib.parse import urlsplit

from imagegate.runtime.channels import ChannelOptions
from imagegate.runtime.server import MESSAGE_OPTIONS

ROUTER_VARIABLE = "IMAGEGATE_ROUTER"
DEFAULT_ROUTER = "127.0.0.1:50051"

# Replicas behind one name share the calls, and one that says NOT_SERVING gets none.
SERVICE_CONFIG = {"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": ""}}

CHANNEL_OPTIONS: ChannelOptions = (
    *MESSAGE_OPTIONS,
    ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
    # One layer retries, the router: a call that gRPC repeats in silence may be paid for twice.
    ("grpc.enable_retries", 0),
    # A picture takes longer than many a proxy keeps a silent connection. Servers of ours allow a ping every 10 s.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # Reconnect soon: after a restart the default would wait up to two minutes.
    ("grpc.max_reconnect_backoff_ms", 5_000),
)


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
