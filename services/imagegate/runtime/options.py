"""What a model lets through of a request's provider_options: declared, bounded, and nothing else. Pure."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from google.protobuf import struct_pb2
from pydantic import BaseModel, ConfigDict, Field

from imagegate.runtime.adjustments import Adjustment, adjusted
from imagegate.runtime.parameters import Number
from imagegate.v1 import catalog_pb2, generation_pb2

# The request's field for what only one provider understands.
OPTIONS_FIELD = "provider_options"

MAX_OPTIONS = 64
MAX_CHOICES = 128
# The characters of a text for which the catalogue gives no maximum.
MAX_TEXT_CHARACTERS = 256
MAX_NAME_CHARACTERS = 64
# Numbers travel as doubles, which know every whole number up to here.
MAX_WHOLE = 2**53
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")

OptionValue = bool | int | float | str
# The kinds that this version knows, by the wire's number.
KINDS = {number: name.removeprefix("OPTION_KIND_").lower() for name, number in catalog_pb2.OptionKind.items() if number}


class Option(BaseModel):
    """A value that an upstream takes beyond what a request can say: its kind, and its range or its choices."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["boolean", "integer", "number", "text"]
    minimum: Number | None = None
    maximum: Number | None = None
    choices: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(max_length=MAX_CHOICES)] = ()

    def problems(self, name: str) -> Iterator[str]:
        """What is wrong with this as the declaration of the option `name`."""
        if not NAME.fullmatch(name):
            yield "an option's name has up to 64 of A-Z a-z 0-9 _"
        if self.kind == "boolean" and (self.minimum is not None or self.maximum is not None):
            yield "true and false have no range"
        if self.kind != "text" and self.choices:
            yield "only a text has choices"
        if self.kind == "text" and self.minimum is not None:
            yield "a text has no minimum"
        bounds = [bound for bound in (self.minimum, self.maximum) if bound is not None]
        if self.kind in ("integer", "text") and any(bound % 1 for bound in bounds):
            yield "minimum and maximum must be whole numbers"
        if self.kind == "text" and self.maximum is not None and self.maximum < 1:
            yield "maximum, the number of characters, must be above 0"
        if bounds != sorted(bounds):
            yield "minimum is above maximum"

    def fit(self, told: struct_pb2.Value) -> tuple[OptionValue | None, "generation_pb2.Action.ValueType", str]:
        """The value that may be sent, None for none; what was done to it, and why (unset where it is as told)."""
        match told.WhichOneof("kind"), self.kind:
            case "bool_value", "boolean":
                return told.bool_value, generation_pb2.ACTION_UNSPECIFIED, ""
            case "string_value", "text":
                return self._text(told.string_value)
            case "number_value", "integer" if told.number_value % 1 == 0 and abs(told.number_value) <= MAX_WHOLE:
                value, action, why = self._number(told.number_value)
                return int(value), action, why
            case "number_value", "number" if abs(told.number_value) < float("inf"):
                return self._number(told.number_value)
        return None, generation_pb2.ACTION_DROPPED, f"the model takes {_ARTICLES[self.kind]} here"

    def _text(self, value: str) -> tuple[str | None, "generation_pb2.Action.ValueType", str]:
        longest = MAX_TEXT_CHARACTERS if self.maximum is None else int(self.maximum)
        if self.choices and value not in self.choices:
            return None, generation_pb2.ACTION_DROPPED, f"the model knows: {', '.join(self.choices)}"
        if len(value) > longest:
            return None, generation_pb2.ACTION_DROPPED, f"the model takes {longest:,} characters"
        return value, generation_pb2.ACTION_UNSPECIFIED, ""

    def _number(self, value: float) -> tuple[float, "generation_pb2.Action.ValueType", str]:
        low = value if self.minimum is None else max(value, self.minimum)
        fitted = low if self.maximum is None else min(low, self.maximum)
        if fitted == value:
            return value, generation_pb2.ACTION_UNSPECIFIED, ""
        bound = f"at least {fitted:.10g}" if fitted > value else f"at most {fitted:.10g}"
        return fitted, generation_pb2.ACTION_CLAMPED, f"the model takes {bound}"


_ARTICLES = {
    "boolean": "true or false",
    "integer": "a whole number up to 2^53",
    "number": "a finite number",
    "text": "a text",
}


def fit_options(
    told: struct_pb2.Struct, options: Mapping[str, Option], provider: str, display_name: str
) -> tuple[Mapping[str, OptionValue], list[Adjustment]]:
    """What goes along of what a request tells `provider`, for a model that takes `options`; and every change."""
    fitted: dict[str, OptionValue] = {}
    adjustments: list[Adjustment] = []
    for name, asked in sorted(told.fields.items()):  # by itself a map has another order in every process
        value, action, why = None, generation_pb2.ACTION_DROPPED, f"{display_name} does not let it through"
        if name in options:
            value, action, why = options[name].fit(asked)
        if action != generation_pb2.ACTION_UNSPECIFIED:
            parameter = f"{OPTIONS_FIELD}.{provider}.{name[:MAX_NAME_CHARACTERS]}"
            adjustments.append(adjusted(parameter, _shown(asked), "" if value is None else value, action, why))
        if value is not None:
            fitted[name] = value
    return fitted, adjustments


def _shown(told: struct_pb2.Value) -> str:
    """The value as an adjustment shows it: a text in quotes, of lists and objects how much they hold."""
    match told.WhichOneof("kind"):
        case "bool_value":
            return "true" if told.bool_value else "false"
        case "number_value":
            return repr(told.number_value).removesuffix(".0")
        case "string_value":
            return json.dumps(told.string_value, ensure_ascii=False)
        case "list_value":
            return f"[{len(told.list_value.values)} values]"
        case "struct_value":
            return f"{{{len(told.struct_value.fields)} fields}}"
    return "null"


def option_to_proto(name: str, option: Option) -> catalog_pb2.Option:
    """The option `name` as the wire tells it."""
    kind = catalog_pb2.OptionKind.Value(f"OPTION_KIND_{option.kind.upper()}")
    return catalog_pb2.Option(
        name=name, kind=kind, minimum=option.minimum, maximum=option.maximum, choices=option.choices
    )


def option_from_proto(message: catalog_pb2.Option) -> dict[str, object]:
    """The fields of the `Option` that the wire tells, of a kind in KINDS."""
    bounds = {bound: getattr(message, bound) for bound in ("minimum", "maximum") if message.HasField(bound)}
    return {"kind": KINDS[message.kind], "choices": tuple(message.choices), **bounds}
