"""`python -m imagegate.runtime.probe [HOST:PORT]`: whether the process there serves, by gRPC health; exit code 0 or 1.

What a container's HEALTHCHECK runs; Kubernetes asks by itself. Without an address it is the process of this container:
port IMAGEGATE_PORT of this machine.
"""

import os
import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

TIMEOUT = 3.0  # seconds


def serves(address: str) -> bool:
    """Whether the process at `address` says that it serves, within TIMEOUT."""
    # Not through a proxy that the environment names: this is a neighbour.
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT)
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


if __name__ == "__main__":
    default = f"127.0.0.1:{os.environ.get('IMAGEGATE_PORT') or 50051}"
    sys.exit(0 if serves(sys.argv[1] if len(sys.argv) > 1 else default) else 1)
