"""The rules that bodies, forms and queries are read by. Pure."""

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from imagegate.edge.backend.naming import camel
from imagegate.edge.problem import invalid
from imagegate.runtime.errors import Violation

# Of the fields that are not known here so many are named, and so many characters of each.
NAMED_FIELDS, NAMED_CHARACTERS = 8, 40
NUMBER = re.compile(r"[+-]?(?:[0-9]{1,20}|[0-9]{0,20}\.[0-9]{1,20})")


@dataclass(frozen=True, slots=True)
class Within:
    """A number within these bounds; `allowed` says them where the numbers alone would not."""

    low: float
    high: float
    allowed: str = ""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "minimum": self.low, "maximum": self.high}

    def _checked(self, value: Any, check: Callable[[Any], Any]) -> Any:
        if isinstance(value, bool | str):
            raise ValueError("has to be a number")  # noqa: TRY004 - pydantic lists ValueErrors only
        number = check(value)
        if not self.low <= number <= self.high:
            allowed = self.allowed or f"{self.low:g} to {self.high:g}"
            raise ValueError(f"is {str(number)[:NAMED_CHARACTERS]}; allowed is {allowed}")
        return number


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of these words, in any case and with hyphens as well."""

    words: tuple[str, ...]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "enum": list(self.words)}

    def _checked(self, value: str) -> str:
        word = value.lower().replace("-", "_")
        if word not in self.words:
            raise ValueError(f"is {value[:NAMED_CHARACTERS]!r}; it takes {', '.join(self.words)}")
        return word


class Asked(BaseModel):
    """A body, or the query of a path. What is not known here is left out, and said (`unknown`)."""

    model_config = ConfigDict(alias_generator=camel, extra="allow", hide_input_in_errors=True)

    def unknown(self) -> list[str]:
        """A warning for each field that is not known here."""
        names = list(self.model_extra or {})
        warnings = [self._not_known(name[:NAMED_CHARACTERS]) for name in names[:NAMED_FIELDS]]
        more = len(names) - NAMED_FIELDS
        return [*warnings, f"{more} more fields are not known here and were left out"] if more > 0 else warnings

    def _not_known(self, name: str) -> str:
        known = [field.alias or own for own, field in type(self).model_fields.items()]
        near = difflib.get_close_matches(camel(name), known, n=1, cutoff=0.6)
        meant = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
        return f"the field {name!r} is not known here and was left out; {meant}"


def of_texts(texts: Mapping[str, Sequence[str]], numbers: Sequence[str] = ()) -> dict[str, Any]:
    """A form or a query as JSON would have it: what is empty is left out, `numbers` are such.

    Raises Problem for what is said more than once.
    """
    twice = [Violation(name, f"is there {len(said)} times") for name, said in texts.items() if len(said) > 1]
    if twice:
        raise invalid(*twice)
    return {name: _value(said[0], is_number=name in numbers) for name, said in texts.items() if said[0]}


def _value(text: str, *, is_number: bool) -> str | int | float:
    if not is_number or not NUMBER.fullmatch(text.strip()):
        return text
    return float(text) if "." in text else int(text)
