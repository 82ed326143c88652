"""The SDK: pictures through an imagegate router.

    from imagegate.client import Client

    with Client() as client:
        result = client.generate("a lighthouse at dusk")
        result.images[0].save("lighthouse.png")

`AsyncClient` is the same with `await`. The command line (`cli`) stands on it.
"""

from imagegate.client.blocking import Client
from imagegate.client.client import AsyncClient
from imagegate.client.error import GenerationError
from imagegate.client.result import Adjustment, Attempt, Image, Result

__all__ = ["Adjustment", "AsyncClient", "Attempt", "Client", "GenerationError", "Image", "Result"]
