"""Twins for tests, shipped with the seams they stand behind.

| twin | stands for |
| --- | --- |
| FakeClock, LeapingClock | the monotonic clock |
| FakeChance | jitter and tossed coins |
| FakeReplica, entry, failed | what a router remembers and decides, the candidates of a request, how attempts fail |
| ScriptedProvider | a provider, with replies written beforehand |
| serving_provider, serving_router | the real services around them, on real sockets of this process |
| serving_edge (`fronted`) | the edge in front of a router, on a real socket of this process |
| system | everything as processes, the edge among them where it is asked for |
| sandboxed, fronts | the real providers in front of the sandbox, and what may stand between them |
| House | a router over several scripted providers |
| fronted, raw_http | the edge on a real socket, its front around a test's own endpoints, and HTTP byte by byte |
| FakeInternet, serving_names | public addresses that lead to listeners of a test, and a name server that lies |
| hostile_urls | what somebody may name to get inside |
| HeldThreads | the threads of an event loop, until a test lets them go |
| picture | a picture such as an upstream returns |
"""

from imagegate.testing.clock import FakeClock, LeapingClock
from imagegate.testing.hostile import hostile_urls
from imagegate.testing.house import House, outcomes, told
from imagegate.testing.internet import FakeInternet
from imagegate.testing.nameserver import serving_names
from imagegate.testing.pictures import picture
from imagegate.testing.replica import FakeChance, FakeReplica, entry, failed
from imagegate.testing.scripted import (
    SCRIPTED_FOR_EVERYTHING,
    SCRIPTED_MODEL,
    Hang,
    Reply,
    ScriptedProvider,
    Telling,
)
from imagegate.testing.serving import ServedProvider, ServedRouter, serving_provider, serving_router
from imagegate.testing.threads import HeldThreads

__all__ = [
    "SCRIPTED_FOR_EVERYTHING",
    "SCRIPTED_MODEL",
    "FakeChance",
    "FakeClock",
    "FakeInternet",
    "FakeReplica",
    "Hang",
    "HeldThreads",
    "House",
    "LeapingClock",
    "Reply",
    "ScriptedProvider",
    "ServedProvider",
    "ServedRouter",
    "Telling",
    "entry",
    "failed",
    "hostile_urls",
    "outcomes",
    "picture",
    "serving_names",
    "serving_provider",
    "serving_router",
    "told",
]
