"""What a message would become is seen before it is parsed."""

from hypothesis import given
from hypothesis import strategies as st

from imagegate.runtime.shape import has_more_fields
from imagegate.v1 import generation_pb2

Request = generation_pb2.GenerateRequest


def beyond(request: generation_pb2.GenerateRequest, most: int) -> bool:
    return has_more_fields(request.SerializeToString(), Request.DESCRIPTOR, most)


def test_values_are_counted_wherever_they_lie() -> None:
    """S18: of the message itself, of those in it, of lists and of maps; the bytes of a picture are one."""
    request = Request(prompt="a", must_keep=["a", "b"], steps=3)
    assert (beyond(request, 4), beyond(request, 3)) == (False, True)
    request = Request(image_to_image=generation_pb2.ImageToImage(image=generation_pb2.InputImage(data=b"\x0a" * 99)))
    assert (beyond(request, 3), beyond(request, 2)) == (False, True)
    request = Request()
    request.provider_options["fal"].update({"a": [1, 2, 3]})
    assert (beyond(request, 20), beyond(request, 8)) == (False, True)


@given(st.binary(max_size=200))
def test_any_bytes_come_to_an_end(data: bytes) -> None:
    """S18: what is no message is looked at as well, and never for ever."""
    has_more_fields(data, Request.DESCRIPTOR, 1000)
