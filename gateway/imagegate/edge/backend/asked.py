"""What web backends may say, with the guide's names, ranges and defaults. Pure; lists every bad field at once.

Only width and height have a default that is sent on: the guide promises 512 × 512, and every model can be asked for a
size. Its 20 steps, cfg 7 and Euler a are what the local engine's own catalogue entry says; any other model gets its own
defaults (FLUX.1-schnell: 4 steps), so that nobody reads of changes to what they never asked for.
"""

from typing import Annotated, Any, get_args

from pydantic import AfterValidator, Field

from imagegate.client.fields import QualityName, TaskName
from imagegate.edge.backend.naming import own_model
from imagegate.edge.backend.rules import Asked, OneOf, Within
from imagegate.runtime.models import TIERS
from imagegate.runtime.validation import MAX_NAME_CHARACTERS, MAX_PROMPT_CHARACTERS

SIDE = 512  # pixels
MOST_IN_A_BATCH = 20


def _told(value: str) -> str:
    if not value.strip():
        raise ValueError("is empty; say what to draw")
    return value


TASKS = tuple(word.lower() for word in get_args(TaskName))
QUALITIES = tuple(word.lower() for word in get_args(QualityName))
Side = Annotated[int, Within(256, 2048, "256 to 2048 px")]
Name = Annotated[str, Field(max_length=MAX_NAME_CHARACTERS)]
Prompt = Annotated[str, Field(max_length=MAX_PROMPT_CHARACTERS)]


class Wanted(Asked):
    """A picture as the guide describes one. What is null or left out is the default, of the model where none stands
    here.
    """

    negative_prompt: Prompt | None = None
    width: Side | None = Field(default=SIDE, description="Pixels.")
    height: Side | None = Field(default=SIDE, description="Pixels.")
    steps: Annotated[int, Within(10, 50)] | None = Field(
        default=None, description="By default the model's own: 20 for the local engine."
    )
    cfg_scale: Annotated[float, Within(1, 20)] | None = Field(
        default=None, description="By default the model's own: 7 for the local engine."
    )
    sampler: Name | None = Field(default=None, description="By default the model's own: Euler a for the local engine.")
    seed: Annotated[int, Within(-1, 2**63 - 1, f"-1 (random) to {2**63 - 1}")] | None = Field(
        default=-1, description="-1 is random."
    )
    model: Name | None = Field(
        default=None,
        description="A route, a key, an upstream's id, or as an answer names it. By default the route web.",
    )

    @property
    def model_meant(self) -> str:
        """The model as a router knows it."""
        return own_model(self.model or "")

    def fields(self) -> dict[str, Any]:
        """The fields of `AsyncClient.generate`: a size, and what was said."""
        said = {
            "negative_prompt": self.negative_prompt or None,
            "width": self.width or SIDE,
            "height": self.height or SIDE,
            "steps": self.steps,
            "guidance_scale": self.cfg_scale,
            "sampler": self.sampler or None,
            "seed": self.seed,
        }
        return {name: value for name, value in said.items() if value is not None}


class PictureRequest(Wanted):
    """One picture to make."""

    prompt: Annotated[Prompt, AfterValidator(_told), Field(json_schema_extra={"pattern": r"\S"})]

    def fields(self) -> dict[str, Any]:
        """Those of the picture, which is a PNG: its name says so."""
        return {**super().fields(), "format": "PNG"}


class BatchRequest(Asked):
    """Several pictures to make."""

    requests: Annotated[list[PictureRequest], Field(min_length=1, max_length=MOST_IN_A_BATCH)]


class EstimateRequest(Wanted):
    """A picture, or several, whose cost is asked for."""

    prompt: Prompt | None = None
    count: Annotated[int, Within(1, 8)] | None = Field(default=1, description="Pictures.")

    def fields(self) -> dict[str, Any]:
        """Those of the picture, and how many."""
        return {**super().fields(), "count": self.count or 1}


class RecommendRequest(Asked):
    """What models are wanted for; what is left out is no limit."""

    task: Annotated[str, OneOf(TASKS)] | None = "text_to_image"
    max_credits: Annotated[int, Within(0, 2**31 - 1, f"0 to {2**31 - 1}")] | None = None
    max_seconds: Annotated[float, Within(0, 86_400)] | None = None
    min_quality: Annotated[str, OneOf(QUALITIES)] | None = None
    use_case: Name | None = None
    tier: Annotated[str, OneOf(TIERS)] | None = Field(default=None, description="Never above the key's own.")
    limit: Annotated[int, Within(1, 50)] | None = 5

    def fields(self, own_tier: str) -> dict[str, Any]:
        """The fields of `AsyncClient.recommend` for a caller of `own_tier` (empty: no limit)."""
        tiers = [tier for tier in (self.tier, own_tier) if tier]
        said = {
            "task": self.task,
            "max_credits": self.max_credits,
            "max_seconds": self.max_seconds,
            "min_quality": self.min_quality,
            "use_case": self.use_case,
            "tier": min(tiers, key=TIERS.index, default=None),
            "limit": self.limit,
        }
        return {name: value for name, value in said.items() if value is not None}


class ModelsQuery(Asked):
    """Which models to list."""

    task: Annotated[str, OneOf(TASKS)] | None = None
    tier: Annotated[str, OneOf(TIERS)] | None = None
    provider: Name | None = None
    use_case: Name | None = None
