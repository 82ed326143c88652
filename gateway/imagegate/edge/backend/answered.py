"""What web backends are told of pictures: the guide's fields, and beside them how it came about. Pure."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from imagegate.edge.backend.naming import Shape, shown_model, shown_provider
from imagegate.edge.backend.record import AdjustmentShape, AttemptShape
from imagegate.edge.generating import Made


class PictureAnswer(Shape):
    """A picture that was made. Up to `processingTime` it is as the guide has it; what follows is beside it: nothing is
    changed, tried or charged without a word.
    """

    success: Literal[True] = True
    image_url: str = Field(description="Below this server; whoever has it may see the picture until it expires.")
    filename: str
    prompt: str
    user_id: str
    provider: str
    model: str
    processing_time: int = Field(description="Milliseconds.")
    id: str = Field(description="The picture's id in the gallery.")
    request_id: str
    model_key: str = Field(description="The catalogue's name for the model, which finds it in any request.")
    upstream_provider: str | None
    width: int
    height: int
    seed: int | None
    cost: int | None = Field(description="Credits.")
    attempts: list[AttemptShape]
    adjustments: list[AdjustmentShape]
    warnings: list[str]
    sandbox: bool = Field(description="Whether a stand-in made it.")


class FieldShape(Shape):
    """A field that is wrong."""

    field: str
    message: str


class UnkeptShape(Shape):
    """A picture that was made, and is nowhere but here: `data` in base64."""

    data: str
    mime_type: str
    seed: int | None


class ErrorAnswer(Shape):
    """What went wrong. `fields` is there where fields are wrong, `attempts` where somebody was asked or passed over,
    `retryAfter` (seconds) where trying again makes sense, `images` where pictures were made that could not be kept.
    """

    error: str
    message: str
    reason: str
    request_id: str
    fields: list[FieldShape] | None = None
    attempts: list[AttemptShape] | None = None
    retry_after: int | None = None
    images: list[UnkeptShape] | None = None

    def shown(self) -> dict[str, Any]:
        """As it goes out: only what is there."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)


class FailedItem(ErrorAnswer):
    """A picture of a batch that could not be made; `status` is what it would have been answered with by itself."""

    success: Literal[False] = False
    index: int
    status: int

    def shown(self) -> dict[str, Any]:
        """As it goes out: only what is there."""
        return {"success": False, **super().shown()}


class MadeItem(PictureAnswer):
    """A picture of a batch."""

    index: int


class BatchAnswer(Shape):
    """What became of each picture, in the order in which they were asked for; `success` is true where all were made."""

    success: bool
    succeeded: int
    failed: int
    results: list[MadeItem | FailedItem]
    warnings: list[str]

    def shown(self) -> dict[str, Any]:
        """As it goes out."""
        return {**super().shown(), "results": [each.shown() for each in self.results]}


def picture_answer(made: Made, image_url: str, unknown: Sequence[str]) -> PictureAnswer:
    """The answer for the one picture of `made`, which is to be seen at `image_url`; `unknown` are warnings of ours."""
    [picture] = made.pictures
    told = made.result
    return PictureAnswer(
        image_url=image_url,
        filename=picture.filename,
        prompt=picture.prompt,
        user_id=picture.owner,
        provider=shown_provider(told.provider),
        model=shown_model(told.provider, told.upstream_model),
        processing_time=round(told.seconds * 1000),
        id=picture.id,
        request_id=told.request_id,
        model_key=f"{told.provider}/{told.model}",
        upstream_provider=told.upstream_provider or None,
        width=picture.width,
        height=picture.height,
        seed=picture.seed,
        cost=told.cost,
        attempts=[AttemptShape.of(attempt) for attempt in told.attempts],
        adjustments=[AdjustmentShape.of(adjustment) for adjustment in told.adjustments],
        warnings=[*unknown, *told.warnings],
        sandbox=told.sandbox,
    )


def made_item(index: int, answer: PictureAnswer) -> MadeItem:
    """The same as one of a batch."""
    return MadeItem(index=index, **dict(answer))
