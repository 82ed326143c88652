"""What the protections cost a call: a breaker that is open, and a router with nobody to ask. Prints figures.

`make bench`. Both ends run in this process over real sockets, so the figures are upper bounds.
"""

import asyncio
import statistics
import sys
from collections.abc import Sequence
from time import perf_counter

import grpc
import structlog

from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.testing import ScriptedProvider, serving_provider, serving_router
from imagegate.v1 import generation_pb2, generation_pb2_grpc

CALLS = 300
WARM_UP = 30


async def timed(stub: generation_pb2_grpc.GenerationServiceStub, model: str) -> Sequence[float]:
    """The milliseconds of each of `CALLS` calls, one after the other."""
    taken = []
    for number in range(WARM_UP + CALLS):
        began = perf_counter()
        try:
            await stub.Generate(generation_pb2.GenerateRequest(prompt="x", model=model), timeout=20)
        except grpc.aio.AioRpcError as error:
            if model != "nobody":
                raise SystemExit(f"{model}: {error.details()}") from error
        if number >= WARM_UP:
            taken.append((perf_counter() - began) * 1000)
    return taken


def told(name: str, taken: Sequence[float]) -> str:
    """One line of the table."""
    p99 = statistics.quantiles(taken, n=100)[98]
    return f"{name:<44} median {statistics.median(taken):7.2f} ms   p99 {p99:7.2f} ms   max {max(taken):7.2f} ms"


async def main() -> None:
    """Measure and print."""
    refused = Failure(Reason.CREDENTIALS_REJECTED, "the key is revoked", dispatch=Dispatch.REFUSED)
    sick = ScriptedProvider("sick", replies=[refused])
    well = ScriptedProvider("well")
    async with (
        serving_provider(sick) as first,
        serving_provider(well) as second,
        serving_router(
            {"sick": first.target, "well": second.target},
            {
                "default": ["well/model"],
                "guarded": ["sick/model", "well/model"],
                "nobody": ["sick/model"],
            },
        ) as router,
        router.stubs() as (stub, _),
    ):
        healthy = await timed(stub, "")
        await stub.Generate(generation_pb2.GenerateRequest(prompt="x", model="guarded"), timeout=20)
        guarded = await timed(stub, "guarded")
        nobody = await timed(stub, "nobody")
    added = statistics.median(guarded) - statistics.median(healthy)
    sys.stdout.write(
        "\n".join(
            [
                told("a healthy candidate", healthy),
                told("an open breaker before it", guarded),
                told("nobody to ask: the final error", nobody),
                f"an open breaker adds {added:.2f} ms at the median (goal: under 5 ms)",
                f"nothing admissible is answered within {max(nobody):.2f} ms (goal: under 50 ms)",
                "",
            ]
        )
    )


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    asyncio.run(main())
