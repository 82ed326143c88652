"""What `generate` and `explain` take: one definition of the options that make up a request."""

import inspect
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Annotated, Any, Concatenate, Literal, TypeVar

import typer

from imagegate.client.client import DEFAULT_TIMEOUT
from imagegate.client.commands.input_options import InputOptions
from imagegate.client.commands.options import Json, Router, Timeout
from imagegate.client.fields import MAX_BYTES, GenerateFields

STANDARD_INPUT = "-"

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class PictureOptions:
    """A request as it is typed; each field is an option of the command line, and so are those of its `inputs`."""

    inputs: InputOptions
    prompt: Annotated[str | None, typer.Argument(help="What to draw; - reads it from standard input.")] = None
    model: Annotated[str, typer.Option(help="A route, provider/key, key, alias or upstream id.")] = ""
    negative_prompt: Annotated[str | None, typer.Option(help="What to keep out.")] = None
    width: Annotated[int | None, typer.Option(help="Pixels, 64 to 4096.")] = None
    height: Annotated[int | None, typer.Option(help="Pixels, 64 to 4096.")] = None
    steps: Annotated[int | None, typer.Option(help="1 to 150.")] = None
    guidance_scale: Annotated[float | None, typer.Option(help="0 to 50.")] = None
    seed: Annotated[int | None, typer.Option(help="0 or more; -1 draws one.")] = None
    sampler: Annotated[str | None, typer.Option(help='For example "DPM++ 2M Karras".')] = None
    count: Annotated[int | None, typer.Option(help="How many pictures, 1 to 8.")] = None
    refuse: Annotated[bool, typer.Option("--refuse", help="Fail rather than change what was asked.")] = False
    must_keep: Annotated[list[str] | None, typer.Option(metavar="FIELD", help="Must not change; repeatable.")] = None
    allow_provider: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this; repeatable.")] = None
    deny_provider: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Not this; repeatable.")] = None
    no_fallback: Annotated[bool, typer.Option("--no-fallback", help="Try one candidate only.")] = False
    payment: Annotated[
        Literal["PAY_ONCE", "AVAILABLE"] | None,
        typer.Option(
            metavar="pay_once|available",
            case_sensitive=False,
            help="Where nobody knows if the last attempt is charged: fail, or try the next [what the model says].",
        ),
    ] = None
    idempotency_key: Annotated[
        str, typer.Option(metavar="KEY", help="The same key again joins the first call, or gets its answer [random].")
    ] = ""
    quality: Annotated[
        Literal["SD", "HD", "ULTRA", "PREMIUM"] | None,
        typer.Option(
            metavar="sd|hd|ultra|premium",
            case_sensitive=False,
            help="Chooses among a route's models; fills size and steps that are left out.",
        ),
    ] = None
    format: Annotated[
        Literal["PNG", "JPEG", "WEBP"] | None,
        typer.Option(metavar="png|jpeg|webp", case_sensitive=False, help="[as the upstream gives it]"),
    ] = None
    max_bytes: Annotated[
        int | None, typer.Option(help=f"Of all pictures together; larger ones are made to fit [{MAX_BYTES:,}].")
    ] = None
    max_credits: Annotated[int | None, typer.Option(help="The most that it may cost, whoever delivers.")] = None
    tier: Annotated[
        Literal["free", "basic", "pro", "enterprise"] | None, typer.Option(help="Only models up to this tier.")
    ] = None
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="PROVIDER.NAME=VALUE", help="What only one provider understands; repeatable."),
    ] = None
    user: Annotated[str, typer.Option(help="Whoever this is for, in your own words.")] = ""
    project: Annotated[str, typer.Option(help="What this belongs to, in your own words.")] = ""
    timeout: Timeout = DEFAULT_TIMEOUT
    router: Router = ""
    as_json: Json = False

    def text(self) -> str:
        """The prompt; reads standard input where that was asked for. Raises typer.BadParameter where it is missing."""
        if self.prompt is None and not self.inputs.extract_pose:
            raise typer.BadParameter("is missing; say what to draw", param_hint="prompt")
        return sys.stdin.read() if self.prompt == STANDARD_INPUT else self.prompt or ""

    def fields(self) -> GenerateFields:
        """What the SDK takes besides prompt, model and timeout. Raises typer.BadParameter."""
        fields = GenerateFields(
            negative_prompt=self.negative_prompt,
            width=self.width,
            height=self.height,
            steps=self.steps,
            guidance_scale=self.guidance_scale,
            seed=self.seed,
            sampler=self.sampler,
            count=self.count,
            on_unsupported="REFUSE" if self.refuse else None,
            must_keep=self.must_keep or (),
            allow_providers=self.allow_provider or (),
            deny_providers=self.deny_provider or (),
            no_fallback=self.no_fallback,
            payment=self.payment,
            idempotency_key=self.idempotency_key,
            quality=self.quality,
            format=self.format,
            max_bytes=self.max_bytes,
            max_credits=self.max_credits,
            tier=self.tier,
            provider_options=provider_options(self.option or ()),
            user=self.user,
            project=self.project,
        )
        fields.update(self.inputs.fields())
        return fields


def provider_options(given: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
    """`fal.acceleration=high` as the SDK takes it; a value is JSON where it reads as JSON, else a text.

    Raises typer.BadParameter for anything of another shape.
    """
    options: dict[str, dict[str, Any]] = {}
    for each in given:
        name, equals, text = each.partition("=")
        provider, dot, option = name.partition(".")
        if not (equals and dot and provider and option):
            raise typer.BadParameter(f"{each!r} is not PROVIDER.NAME=VALUE", param_hint="--option")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        options.setdefault(provider, {})[option] = value
    return options


def takes_picture_options(
    command: Callable[Concatenate[PictureOptions, ...], Answer],
) -> Callable[..., Answer]:
    """`command` as typer sees it: in the place of its first parameter stand the options of `PictureOptions`."""
    _, prompt, model, *others = inspect.signature(PictureOptions).parameters.values()
    shared = (prompt, model, *others)
    inputs = list(inspect.signature(InputOptions).parameters.values())
    own = list(inspect.signature(command).parameters.values())[1:]

    @wraps(command)
    def spread(**given: Any) -> Answer:
        brought = InputOptions(**{each.name: given.pop(each.name) for each in inputs})
        options = PictureOptions(brought, **{each.name: given.pop(each.name) for each in shared})
        return command(options, **given)

    spread.__signature__ = inspect.Signature([prompt, model, *inputs, *others, *own])  # type: ignore[attr-defined]
    return spread
