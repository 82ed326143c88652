"""Which models are tried with a picture, how small it is and what it costs, and what it shows. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imagegate.client.doctor.row import Made, Trouble
from imagegate.client.result import Image, Result
from imagegate.runtime.models import Model
from imagegate.runtime.parameters import nearest_on_grid
from imagegate.runtime.pricing import price

PROMPT = "a lighthouse at dusk"
# Pixels. Smaller ones save nothing, and few models were trained for them.
SMALL_SIDE = 256
# Above so many times the upper end of its usual time a picture took long.
TOOK_LONG = 2.0


@dataclass(frozen=True, slots=True)
class Trial:
    """One picture to make. `width` and `height` are pixels, None where they are not asked for; `credits` is None
    where the price is not known.
    """

    name: str
    provider: str
    model: Model
    width: int | None = None
    height: int | None = None

    @property
    def fields(self) -> Mapping[str, int]:
        """What is asked for besides the prompt."""
        return {name: value for name, value in (("width", self.width), ("height", self.height)) if value is not None}

    @property
    def credits(self) -> int | None:
        """What it costs; None where nobody knows."""
        return price(self.model, self.fields, 1)


@dataclass(frozen=True, slots=True)
class Plan:
    """The pictures that will be made, and why others will not."""

    trials: Sequence[Trial]
    left_out: Sequence[str] = ()

    @property
    def credits(self) -> int:
        """The sum of the prices that are known."""
        return sum(trial.credits or 0 for trial in self.trials)

    @property
    def unpriced(self) -> Sequence[str]:
        """The models of which nobody knows the price."""
        return [trial.name for trial in self.trials if trial.credits is None]

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain values."""
        return {
            "models": [trial.name for trial in self.trials],
            "credits": self.credits,
            "unpriced": list(self.unpriced),
            "left_out": list(self.left_out),
        }

    def told(self) -> str:
        """What it is going to cost, in a sentence or two."""
        count = len(self.trials)
        pictures = "one small picture" if count == 1 else f"{count} small pictures" if count else "no picture"
        told = [f"{self.credits} credits"] if count > len(self.unpriced) else []
        told += [f"the price of {', '.join(self.unpriced)} is not known"] if self.unpriced else []
        return "; ".join([f"making {pictures}{': ' if told else ''}{', and '.join(told)}", *self.left_out])


def trial_of(name: str, provider: str, model: Model) -> Trial:
    """The smallest picture of `model` that it is likely to make well."""
    if model.sizes:
        width, height = min(model.sizes, key=lambda size: size[0] * size[1])
        return Trial(name, provider, model, width, height)
    return Trial(name, provider, model, _side(model, "width"), _side(model, "height"))


def planned(models: Iterable[Trial], is_well: Callable[[str], bool], *, all_models: bool) -> Plan:
    """What to try of these: with `all_models` each, else the cheapest of each provider.

    Left out is what makes no picture from words alone, and against what something is known already. One whose price
    is not known is the cheapest only where its provider has no other.
    """
    usable = [trial for trial in models if "text_to_image" in trial.model.tasks and is_well(trial.name)]
    if all_models:
        return Plan(usable)
    trials, left_out = [], []
    for provider in dict.fromkeys(trial.provider for trial in usable):
        its_own = [trial for trial in usable if trial.provider == provider]
        priced = [trial for trial in its_own if trial.credits is not None]
        if priced or len(its_own) == 1:
            trials.append(min(priced, key=lambda trial: trial.credits or 0) if priced else its_own[0])
        else:
            left_out.append(f"none of {provider}: of none of its models the price is known (--all-models makes each)")
    return Plan(trials, left_out)


def result_of(trial: Trial, result: Result, file: str) -> Made | Trouble:
    """What the picture shows of its model."""
    image = result.images[0]
    if not image.mime_type.startswith("image/"):
        remedy = f"tell whoever keeps the provider {trial.provider}"
        return Trouble("BAD_OUTPUT", f"it delivered {image.mime_type or 'something'}, which is no picture", remedy)
    seconds = result.attempts[-1].seconds if result.attempts else result.seconds
    return Made(
        content_type=image.mime_type,
        bytes=len(image.data),
        file=file,
        cost=result.cost,
        seconds=seconds,
        differences=tuple(_differences(trial, result, image)),
        notes=tuple(_notes(trial, seconds)),
    )


def _side(model: Model, name: str) -> int | None:
    parameter = model.parameters.get(name)
    return None if parameter is None else round(nearest_on_grid(SMALL_SIDE, parameter))


def _differences(trial: Trial, result: Result, image: Image) -> Iterable[str]:
    asked = (trial.width or image.width, trial.height or image.height)
    if asked != (image.width, image.height):
        yield f"asked for {asked[0]} × {asked[1]}, it made {image.width} × {image.height}"
    if "seed" in trial.model.parameters and image.seed is None:
        yield "the catalogue says that it takes a seed, and none was told"
    for adjustment in result.adjustments:
        if adjustment.action == "SUBSTITUTED" and adjustment.parameter not in ("width", "height"):
            yield f"it took {adjustment.applied} for {adjustment.parameter} {adjustment.requested} ({adjustment.why})"
    yield from result.warnings


def _notes(trial: Trial, seconds: float) -> Iterable[str]:
    low, high = trial.model.typical_seconds
    if seconds > TOOK_LONG * high:
        yield f"it took {seconds:.0f} s; the catalogue says {low:g} to {high:g}"
