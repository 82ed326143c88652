"""What is remembered of requests that differ in their words only."""

from google.protobuf.descriptor import FieldDescriptor

from imagegate.router.shapes import MAX_SHAPES, Shapes, shape_of
from imagegate.runtime.validation import WORDS
from imagegate.v1.generation_pb2 import GenerateRequest

# One value per kind of field; of messages that they are there.
VALUES = {
    FieldDescriptor.CPPTYPE_STRING: "x",
    FieldDescriptor.CPPTYPE_INT32: 1,
    FieldDescriptor.CPPTYPE_INT64: 1,
    FieldDescriptor.CPPTYPE_FLOAT: 0.5,
    FieldDescriptor.CPPTYPE_ENUM: 1,
}


def with_one(name: str) -> GenerateRequest:
    """A request with this field alone."""
    request = GenerateRequest()
    field = GenerateRequest.DESCRIPTOR.fields_by_name[name]
    if name == "provider_options":
        request.provider_options["fal"].update({"a": 1})
    elif field.is_repeated and field.message_type is not None:
        getattr(request, name).add()
    elif field.message_type is not None:
        getattr(request, name).SetInParent()
    elif field.is_repeated:
        getattr(request, name).append("x")
    else:
        setattr(request, name, VALUES[field.cpp_type])
    return request


def test_only_words_are_left_out() -> None:
    """Two requests have one shape exactly where they differ in their words alone, or in what their prompts say."""
    plain = shape_of(GenerateRequest())
    same = {name for name in GenerateRequest.DESCRIPTOR.fields_by_name if shape_of(with_one(name)) == plain}
    assert same == {*WORDS} - {"prompt"}
    assert shape_of(GenerateRequest(prompt="a fox")) == shape_of(GenerateRequest(prompt="two foxes")) != plain


def test_large_requests_have_no_shape() -> None:
    """A request with a picture is not remembered; one with a long prompt is."""
    request = GenerateRequest(prompt="x" * 32_000)
    assert shape_of(request) == shape_of(GenerateRequest(prompt="x"))
    request.image_to_image.image.data = bytes(4096)
    assert shape_of(request) is None


def test_asked_once_while_nothing_changes() -> None:
    """What was found stands until anything else that it was found from changes."""
    shapes: Shapes[int] = Shapes()
    found = iter(range(9))
    asked = [shapes.known(b"a", standing, lambda: next(found)) for standing in (1, 1, 2, 2)]
    assert asked == [0, 0, 1, 1]
    assert [shapes.known(None, 2, lambda: next(found)) for _ in range(2)] == [2, 3]


def test_bounded() -> None:
    """Of very many shapes the last ones are kept."""
    shapes: Shapes[int] = Shapes()
    for number in range(MAX_SHAPES + 3):
        shapes.known(b"%d" % number, None, lambda number=number: number)  # type: ignore[misc]
    assert repr(shapes) == f"<Shapes {MAX_SHAPES}>"
