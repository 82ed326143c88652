"""Twins for tests, shipped with the seams they stand behind.

| twin | stands for |
| --- | --- |
| FakeClock | the monotonic clock |
| ScriptedProvider | a provider, with replies written beforehand |
| serving_provider, serving_router | the real services around them, on real sockets of this process |
| picture | a picture such as an upstream returns |
"""

from imagegate.testing.clock import FakeClock
from imagegate.testing.pictures import picture
from imagegate.testing.scripted import SCRIPTED_MODEL, Hang, Reply, ScriptedProvider, Telling
from imagegate.testing.serving import ServedProvider, ServedRouter, serving_provider, serving_router

__all__ = [
    "SCRIPTED_MODEL",
    "FakeClock",
    "Hang",
    "Reply",
    "ScriptedProvider",
    "ServedProvider",
    "ServedRouter",
    "Telling",
    "picture",
    "serving_provider",
    "serving_router",
]
