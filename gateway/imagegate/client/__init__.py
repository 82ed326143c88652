"""The SDK: pictures through an imagegate router.

    from imagegate.client import Client

    with Client() as client:
        result = client.generate("a lighthouse at dusk")
        result.images[0].save("lighthouse.png")

`AsyncClient` is the same with `await`; `AsyncAdminClient` is for whoever runs the router. The command line (`cli`)
stands on them.
"""

from imagegate.client.admin import AsyncAdminClient
from imagegate.client.batch import BatchItem
from imagegate.client.blocking import Client
from imagegate.client.client import AsyncClient
from imagegate.client.error import GenerationError
from imagegate.client.event import AttemptFinished, AttemptStarted, Completed, Event, Progress
from imagegate.client.result import Adjustment, Attempt, Image, Result
from imagegate.client.transport import TransportFields

__all__ = [
    "Adjustment",
    "AsyncAdminClient",
    "AsyncClient",
    "Attempt",
    "AttemptFinished",
    "AttemptStarted",
    "BatchItem",
    "Client",
    "Completed",
    "Event",
    "GenerationError",
    "Image",
    "Progress",
    "Result",
    "TransportFields",
]
