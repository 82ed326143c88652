"""Pictures without what came along with them: a webui writes the whole prompt into every PNG. Pure."""

from hashlib import sha256

from imagegate.client.result import Image, Result
from imagegate.edge.problem import Problem
from imagegate.runtime import images, luggage
from imagegate.runtime.images import NotAPicture
from imagegate.v1 import generation_pb2


def bare(result: Result) -> Result:
    """The answer with every picture the same in every pixel, and nothing else in its bytes; the same object where
    nothing else was. Raises Problem (502) for one that is no picture: whoever sees it would see what a stranger wrote.
    """
    found = [_left_behind(image) for image in result.images]
    if all(data is image.data for data, image in zip(found, result.images, strict=True)):
        return result
    proto = generation_pb2.GenerateResponse()
    proto.CopyFrom(result.proto)
    for image, data in zip(proto.images, found, strict=True):
        image.data = data
        image.size_bytes = len(data)
        image.sha256 = sha256(data).hexdigest()
    return Result.of(proto)


def _left_behind(image: Image) -> bytes:
    try:
        info = images.inspect(image.data)
    except NotAPicture as error:
        raise Problem(502, "BAD_OUTPUT", f"what was delivered is no picture: {error.what}") from error
    if info.mime_type != image.mime_type:
        raise Problem(502, "BAD_OUTPUT", f"what was delivered as {image.mime_type} is {info.mime_type}")
    return luggage.left_behind(image.data, info)
