"""What was made, as OpenAI's clients read it. Pure, and slow with large pictures: call it in a thread.

`usage` is left out: models here have no tokens, and nobody's count would mean anything. What a picture costs is in
`imagegate`, in credits, where it is known.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from imagegate.client.result import Image
from imagegate.edge.gallery import Picture
from imagegate.edge.generating import Made, asked
from imagegate.edge.openai.order import Ordered

# What is encoded in one go; between two of them other threads have their turn. A multiple of 3, as base64 asks for.
PIECE = 3 * 64 * 1024


class Datum(BaseModel):
    """One picture: its bytes in base64, or where they are."""

    b64_json: str | None = None
    url: str | None = None


class Kept(BaseModel):
    """One picture as it is kept; `id` finds it in the gallery. The seed is null where the model takes none."""

    id: str
    seed: int | None
    width: int
    height: int
    mime_type: str
    sha256: str


class Provenance(BaseModel):
    """How the pictures came about. `parameters` is what was asked by the names of GenerateRequest, `adjustments` every
    parameter that was changed or left out, `cost` in credits for all pictures and null where nobody knows.
    """

    request_id: str
    provider: str
    model: str
    upstream_model: str
    upstream_provider: str
    parameters: Mapping[str, Any]
    adjustments: Sequence[Mapping[str, Any]]
    warnings: Sequence[str]
    attempts: Sequence[Mapping[str, Any]]
    seed: int | None
    cost: int | None
    seconds: float
    sandbox: bool
    pictures: Sequence[Kept]


class Answer(BaseModel):
    """The answer. `size` and `output_format` are what the pictures have, where all have the same."""

    created: int
    data: Sequence[Datum]
    size: str | None = None
    output_format: str | None = None
    imagegate: Provenance


def encoded(made: Made, ordered: Ordered, urls: Sequence[str] = ()) -> bytes:
    """The answer as JSON: the pictures as data, or where there are `urls` as these, in order."""
    images = made.result.images
    data = [Datum(url=url) for url in urls] or [Datum(b64_json=base64_of(each.data)) for each in images]
    same: dict[str, str] = {}
    for name, of in (("size", size_of), ("output_format", format_of)):
        if len(values := {of(each) for each in images}) == 1:
            same[name] = values.pop()
    created = made.pictures[0].created // 1000
    answer = Answer(created=created, data=data, **same, imagegate=provenance(made, ordered))
    return answer.model_dump_json(exclude_unset=True).encode()


def provenance(made: Made, ordered: Ordered) -> Provenance:
    """How the pictures came about."""
    result, first = made.result, made.pictures[0]
    return Provenance(
        request_id=result.request_id,
        provider=result.provider,
        model=result.model,
        upstream_model=result.upstream_model,
        upstream_provider=result.upstream_provider,
        parameters=asked({"model": ordered.order.model, **ordered.order.fields}),
        adjustments=[*(each.to_dict() for each in ordered.dropped), *first.adjustments],
        warnings=result.warnings,
        attempts=first.attempts,
        seed=first.seed,
        cost=result.cost,
        seconds=result.seconds,
        sandbox=result.sandbox,
        pictures=[_kept(each) for each in made.pictures],
    )


def base64_of(data: bytes) -> str:
    """The bytes in base64."""
    return b"".join(b64encode(data[at : at + PIECE]) for at in range(0, len(data), PIECE)).decode("ascii")


def size_of(image: Image) -> str:
    """Width and height in their way of writing."""
    return f"{image.width}x{image.height}"


def format_of(image: Image) -> str:
    """png, jpeg or webp."""
    return image.mime_type.removeprefix("image/")


def _kept(picture: Picture) -> Kept:
    return Kept(
        id=picture.id,
        seed=picture.seed,
        width=picture.width,
        height=picture.height,
        mime_type=picture.mime_type,
        sha256=picture.sha256,
    )
