"""Pictures without what came along with them: a webui writes the whole prompt into every PNG. Pure, and slow with
large pictures: call it in a thread.
"""

from dataclasses import replace
from hashlib import sha256

from imagegate.client.result import Image, Result
from imagegate.edge.problem import Problem
from imagegate.runtime import colour_profile, images, luggage
from imagegate.runtime.images import NotAPicture
from imagegate.v1 import generation_pb2


def bare(result: Result) -> Result:
    """The answer with every picture the same in every pixel, and nothing else in its bytes but what its colours mean;
    the same object where nothing else was. What is said of a picture is what its bytes say, whoever has delivered it:
    by its sum it is kept.

    Raises Problem (502) for one that is no picture: whoever sees it would see what a stranger wrote.
    """
    found = [_bare(image) for image in result.images]
    if found == result.images:
        return result
    proto = generation_pb2.GenerateResponse()
    proto.CopyFrom(result.proto)
    for image, true in zip(proto.images, found, strict=True):
        image.data, image.size_bytes, image.sha256 = true.data, true.size_bytes, true.sha256
        image.width, image.height = true.width, true.height
    return Result.of(proto)


def _bare(image: Image) -> Image:
    try:
        info = images.inspect(image.data)
    except NotAPicture as error:
        raise Problem(502, "BAD_OUTPUT", f"what was delivered is no picture: {error.what}") from error
    if info.mime_type != image.mime_type:
        raise Problem(502, "BAD_OUTPUT", f"what was delivered as {image.mime_type} is {info.mime_type}")
    data = luggage.left_behind(image.data, info)
    if colours := colour_profile.colours_of(image.data, info):
        data = colour_profile.with_colours(data, info, colours)
    return replace(
        image,
        data=data,
        width=info.width,
        height=info.height,
        sha256=sha256(data).hexdigest(),
        size_bytes=len(data),
    )
