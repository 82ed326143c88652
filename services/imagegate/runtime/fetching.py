"""Fetching a picture that an upstream has finished: that is free, so what does not arrive whole is fetched again."""

from imagegate.runtime import images
from imagegate.runtime.errors import Failure, Reason
from imagegate.runtime.inspection import walk
from imagegate.runtime.upstream import UpstreamClient

# How often more. Nothing that makes a picture is ever sent twice.
FETCHES_AGAIN = 2


async def fetched_picture(client: UpstreamClient, url: str) -> bytes:
    """What lies at `url`, fetched up to three times until it is a whole picture.

    What came last is handed on as it is: the inspection judges it. Raises Failure as `download` does.
    """
    for _ in range(FETCHES_AGAIN):
        try:
            data = (await client.download(url)).body
            await walk(data)
        except images.NotAPicture:
            continue
        except Failure as failure:
            if not _may_pass(failure):
                raise
        else:
            return data
    return (await client.download(url)).body


def _may_pass(failure: Failure) -> bool:
    return failure.reason is Reason.UPSTREAM_ERROR or failure.upstream_status >= 500
