"""An answer and the files of its pictures, which join it when it is sent. Pure.

A message copies a file that is put into it, and once more when it is serialised: a picture of 1.2 MB would be held
four times.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from imagegate.runtime.serialised import LENGTH_FOLLOWS, varint
from imagegate.v1 import generation_pb2

_IMAGE = bytes((generation_pb2.GenerateResponse.IMAGES_FIELD_NUMBER << 3 | LENGTH_FOLLOWS,))
_DATA = bytes((generation_pb2.Image.DATA_FIELD_NUMBER << 3 | LENGTH_FOLLOWS,))


@dataclass(frozen=True, slots=True)
class MadePicture:
    """A checked picture: its file, empty where that is not handed over, and what is told of it besides."""

    data: bytes
    told: generation_pb2.Image

    @classmethod
    def of(cls, image: generation_pb2.Image) -> Self:
        """The same of an image that holds its file."""
        told = generation_pb2.Image()
        told.CopyFrom(image)
        told.ClearField("data")
        return cls(image.data, told)

    def whole(self) -> generation_pb2.Image:
        """The image with its file in it."""
        image = generation_pb2.Image(data=self.data)
        image.MergeFrom(self.told)
        return image


@dataclass(frozen=True, slots=True)
class MadeAnswer:
    """`rest` is what the answer says besides its pictures."""

    pictures: Sequence[MadePicture]
    rest: generation_pb2.GenerateResponse

    def parts(self) -> list[bytes]:
        """One after the other they are the serialised GenerateResponse."""
        parts: list[bytes] = []
        for picture in self.pictures:
            told = picture.told.SerializeToString()
            data = (_DATA, varint(len(picture.data)), picture.data) if picture.data else ()
            parts += (_IMAGE, varint(sum(map(len, data)) + len(told)), *data, told)
        return [*parts, self.rest.SerializeToString()]

    def serialised(self) -> bytes:
        """The GenerateResponse as the generated class writes it."""
        return b"".join(self.parts())
