"""The bare floor, as a process: what passes a call on as raw bytes and does nothing else. `… PROVIDER`"""

import json
import sys

import grpc
import uvloop

from imagegate.runtime import memory
from imagegate.runtime.channels import MESSAGE_OPTIONS

METHOD = "/imagegate.v1.GenerationService/Generate"


async def main(provider: str) -> None:
    """Serve until the process is ended; the first line tells the port, as a log of ours does."""
    channel = grpc.aio.insecure_channel(provider, options=MESSAGE_OPTIONS)
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)

    async def generate(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        return await call(request, timeout=context.time_remaining())

    server = grpc.aio.server(options=MESSAGE_OPTIONS)
    service, _, method = METHOD[1:].partition("/")
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(generate)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"{json.dumps({'event': 'listening', 'grpc': port})}\n")
    sys.stdout.flush()
    await server.wait_for_termination()


if __name__ == "__main__":
    memory.tune()
    uvloop.run(main(sys.argv[1]))
