"""The form of an edit: what is text, which pictures come along. Pure.

A client sends one picture as `image` and several as `image[]`; the same name may also come more than once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, WithJsonSchema

from imagegate.edge.body import Form, Upload
from imagegate.edge.openai.schema import MISSING, Edit, Wrong, invalid, read, unknown
from imagegate.runtime.errors import Violation

IMAGES = ("image", "image[]")
MASK = "mask"
FILES = ("image", MASK)
# As OpenAPI describes a file of a form.
FILE = WithJsonSchema({"type": "string", "format": "binary"})


class EditForm(Edit):
    """The whole form, for who wants to know what it looks like."""

    image: Annotated[bytes, FILE] = Field(description="The picture to edit.")
    mask: Annotated[bytes | None, FILE] = None


@dataclass(frozen=True, slots=True)
class Edited:
    """What shall be edited: the pictures in order, the first being the one that is, and where."""

    asked: Edit
    images: Sequence[bytes]
    mask: bytes | None


def edited(form: Form) -> Edited:
    """What the form asks for. Raises Problem with everything that is wrong with it."""
    images = [file for name in IMAGES for file in form.files.get(name, ())]
    masks = form.files.get(MASK, [])
    texts = {name: values[0] for name, values in form.texts.items() if name not in (*IMAGES, MASK) and values[0]}
    asked = read(Edit, texts, as_texts=True, also=[*_of_files(form, images, masks), *_of_texts(form)])
    return Edited(asked, [file.data for file in images], masks[0].data if masks else None)


def _of_files(form: Form, images: Sequence[Upload], masks: Sequence[Upload]) -> list[Wrong]:
    wrong = [unknown(name, [*FILES]) for name in form.files if name not in (*IMAGES, MASK)]
    if not images and not any(name in form.texts for name in IMAGES):
        wrong.append((MISSING, Violation("image", "is required: the picture to edit, as a file")))
    if len(masks) > 1:
        wrong.append(invalid(MASK, "is there more than once"))
    wrong += [invalid("image", "is an empty file") for file in images if not file.data]
    wrong += [invalid(MASK, "is an empty file") for file in masks if not file.data]
    return wrong


def _of_texts(form: Form) -> list[Wrong]:
    """What a form can get wrong that JSON cannot."""
    files = [invalid(name, "has to be a file, with a filename") for name in (*IMAGES, MASK) if name in form.texts]
    repeated = [
        invalid(name, "is there more than once")
        for name, values in form.texts.items()
        if len(values) > 1 and name in Edit.model_fields
    ]
    return [*files, *repeated]
