"""Answers that are put together by hand are what the generated classes would have written."""

from hypothesis import given
from hypothesis import strategies as st

from imagegate.runtime.made import MadeAnswer, MadePicture
from imagegate.v1 import generation_pb2

TOLD = st.builds(
    generation_pb2.Image,
    mime_type=st.sampled_from(["", "image/png"]),
    width=st.integers(0, 2**31 - 1),
    seed=st.none() | st.integers(0, 2**63 - 1),
    sha256=st.text(max_size=64),
    size_bytes=st.integers(0, 2**40),
)
RESTS = st.builds(
    generation_pb2.GenerateResponse,
    provider=st.text(max_size=20),
    adjustments=st.lists(st.builds(generation_pb2.Adjustment, parameter=st.text(max_size=9)), max_size=2),
    warnings=st.lists(st.text(max_size=20), max_size=2),
    cost=st.none() | st.integers(0, 9),
    sandbox=st.booleans(),
)


@given(st.lists(st.builds(MadePicture, st.binary(max_size=300), TOLD), max_size=3), RESTS)
def test_the_same_bytes(pictures: list[MadePicture], rest: generation_pb2.GenerateResponse) -> None:
    """An answer by hand equals that of the generated class byte by byte, with files and without."""
    answer = generation_pb2.GenerateResponse()
    answer.CopyFrom(rest)
    for picture in pictures:
        image = answer.images.add()
        image.CopyFrom(picture.told)
        image.data = picture.data
    made = MadeAnswer(pictures, rest)
    assert made.serialised() == answer.SerializeToString(deterministic=True)
    assert b"".join(made.parts()) == made.serialised()


def test_large_files_are_the_same_bytes_too() -> None:
    """A file whose length takes several bytes to tell is written as the generated class writes it."""
    data = bytes(1_300_000)
    made = MadeAnswer([MadePicture(data, generation_pb2.Image(width=9))], generation_pb2.GenerateResponse(model="m"))
    image = generation_pb2.Image(data=data, width=9)
    assert made.serialised() == generation_pb2.GenerateResponse(images=[image], model="m").SerializeToString()


@given(st.binary(max_size=300), TOLD)
def test_a_file_joins_its_picture_and_leaves_it(data: bytes, told: generation_pb2.Image) -> None:
    """A picture whose file has joined it is the same once the file is beside it again."""
    picture = MadePicture(data, told)
    assert picture.whole().data == data
    assert MadePicture.of(picture.whole()) == picture
