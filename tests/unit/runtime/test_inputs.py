"""What a provider gets of what a request brings along."""

import pytest

from imagegate.runtime.errors import Failure
from imagegate.runtime.inputs import size_of_image, to_inputs
from imagegate.runtime.tasks import FittedControl, FittedInputs
from imagegate.testing import picture
from imagegate.v1 import generation_pb2

Input = generation_pb2.InputImage
PNG, JPEG = picture(48, 32), picture(16, 64, "JPEG")
POSE = FittedControl("openpose")


def request(*controls: bytes) -> generation_pb2.GenerateRequest:
    """A photo, a mask and these controls."""
    return generation_pb2.GenerateRequest(
        inpainting=generation_pb2.Inpainting(image=Input(data=PNG), mask=Input(data=PNG)),
        controls=[generation_pb2.Control(image=Input(data=data)) for data in controls],
        identity=[generation_pb2.Identity(image=Input(data=JPEG))],
    )


def test_each_picture_goes_to_its_place() -> None:
    """P3: the picture, its mask, controls and people, each with what it is and what was fitted for it."""
    inputs = to_inputs(request(JPEG, PNG), FittedInputs((POSE, POSE), (0.5,)))
    assert (inputs.task, inputs.image, inputs.mask) == ("inpainting", inputs.image, inputs.image)
    assert repr(inputs.image) == f"<InputPicture image/png 48x32 {len(PNG):,} bytes>"
    assert [control.picture.data for control in inputs.controls] == [JPEG, PNG]
    assert [(each.picture.width, each.strength) for each in inputs.identity] == [(16, 0.5)]


def test_words_alone_bring_nothing() -> None:
    """A picture from words has no picture to begin with."""
    inputs = to_inputs(generation_pb2.GenerateRequest(prompt="x"), FittedInputs())
    assert (inputs.task, inputs.image, inputs.mask, inputs.controls) == ("text_to_image", None, None, [])


def test_what_is_no_picture_is_the_callers_fault() -> None:
    """P3: what did not come in through an entrance is refused by its place, and is no bug of ours."""
    with pytest.raises(Failure) as caught:
        to_inputs(request(b"GIF89a", PNG, b""), FittedInputs((POSE,) * 3, (None,)))
    assert [violation.field for violation in caught.value.violations] == ["controls[0].image", "controls[2].image"]
    assert "is a GIF" in caught.value.message


def test_the_size_of_what_a_picture_is_made_from() -> None:
    """Only a picture that another one is made from has a say in the other's size."""
    assert size_of_image(request()) == (48, 32)
    assert size_of_image(generation_pb2.GenerateRequest()) is None
