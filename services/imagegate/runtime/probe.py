"""`python -m imagegate.runtime.probe [HOST:PORT]`: whether the process there serves, by gRPC health; exit code 0 or 1.

What a container's HEALTHCHECK runs; Kubernetes asks by itself. Without an address it is the process of this container:
port IMAGEGATE_PORT of this machine; where that speaks TLS, /readyz on its HTTP port.
"""

import os
import sys
from http import HTTPStatus
from http.client import HTTPConnection

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


def is_ready(port: int) -> bool:
    """Whether the process of this machine whose HTTP port this is says so, within TIMEOUT."""
    connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    if len(sys.argv) == 1 and os.environ.get("IMAGEGATE_TLS_CERT_FILE"):
        # Over gRPC it might have to show a certificate, and there is none for that.
        sys.exit(0 if is_ready(int(os.environ.get("IMAGEGATE_HTTP_PORT") or 9464)) else 1)
    default = f"127.0.0.1:{os.environ.get('IMAGEGATE_PORT') or 50051}"
    sys.exit(0 if serves(sys.argv[1] if len(sys.argv) > 1 else default) else 1)
