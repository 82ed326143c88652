"""From the body of a generation to an order, and to what is kept of it. Pure."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from imagegate.client.fields import TEMPLATE
from imagegate.edge.api.picture_source import InputImage
from imagegate.edge.api.schema import Generation
from imagegate.runtime.errors import Violation
from imagegate.runtime.validation import MAX_INPUT_BYTES


def to_fields(body: Generation, own: Mapping[str, bytes]) -> dict[str, Any]:
    """What `AsyncClient.generate` takes besides prompt and model; `own` has the caller's own pictures by their ids."""
    said = {name: value for name, value in body if name not in ("prompt", "model")}
    return {name: _given(value, own) for name, value in said.items() if not _is_absent(value)}


def parameters_of(body: Generation) -> dict[str, Any]:
    """What is kept of it: everything but the words, as it was said. Posted again, with the seed that was drawn, it
    makes the same picture; only of a picture that came along as data no more than its size is left.
    """
    said = body.model_dump(mode="json", exclude_none=True, exclude={"prompt"})
    optional_texts = ("model", "project")
    return {n: value for n, value in said.items() if not _is_absent(value) and (value or n not in optional_texts)}


def size_violations(body: Generation, own_sizes: Mapping[str, int]) -> list[Violation]:
    """Whether all pictures together are too large; `own_sizes` are those of the caller's own ones, in bytes."""
    size = sum(len(image.data or b"") + own_sizes.get(image.picture or "", 0) for _, image in body.pictures())
    if size <= MAX_INPUT_BYTES:
        return []
    limit = MAX_INPUT_BYTES // 1024**2
    return [Violation("", f"all pictures together have {size:,} bytes; at most {limit} MiB are allowed")]


def _is_absent(value: Any) -> bool:
    return value is None or value in ([], {})


def _given(value: Any, own: Mapping[str, bytes]) -> Any:
    match value:
        case InputImage():
            return _source(value, own)
        case BaseModel():
            return {name: _given(each, own) for name, each in value if each is not None}
        case list():
            return [_given(each, own) for each in value]
        case _:
            return value


def _source(image: InputImage, own: Mapping[str, bytes]) -> bytes | str:
    if image.template is not None:
        return f"{TEMPLATE}{image.template}"
    if image.picture is not None:
        return own[image.picture]
    return image.data if image.data is not None else str(image.uri)
