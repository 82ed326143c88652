"""Whether a gRPC service says that it serves."""

import asyncio

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

POLL_SECONDS = 0.05


async def until_serving(address: str) -> None:
    """Wait until the service at `address` is up and says SERVING. Waits for ever: give it a time-out."""
    # Not through a proxy that the environment names: this is a process of ours on this machine.
    async with grpc.aio.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        while True:
            answer = await stub.Check(health_pb2.HealthCheckRequest(), wait_for_ready=True)
            if answer.status == health_pb2.HealthCheckResponse.SERVING:
                return
            await asyncio.sleep(POLL_SECONDS)
