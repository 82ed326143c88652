"""What every body and query of this family is made of: nothing is guessed, and what is not known is told. Pure."""

import difflib
from collections.abc import Collection
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

# Of names that are not known so many are told: a body may have a million.
MAX_UNKNOWN = 16
MAX_NAME_CHARACTERS = 64
HALF = "has half of a character"


def _writable(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(HALF) from None
    if "\x00" in value:
        raise ValueError("has a character NUL, which nothing can draw or keep")
    return value


# What can be sent on and kept in a database.
Text = Annotated[str, AfterValidator(_writable)]


class Strict(BaseModel):
    """A part of what came in. A text is no number, and a name that is not known is refused with the nearest one."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
        protected_namespaces=(),
    )

    @model_validator(mode="wrap")
    @classmethod
    def _name_what_is_unknown(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(value)
        except ValidationError as error:
            wrong = [_told(each, cls.model_fields) for each in _bounded(error.errors(include_url=False))]
            raise ValidationError.from_exception_data(cls.__name__, wrong, hide_input=True) from None


class Query(Strict, strict=False):
    """The parameters of a query, where everything is a text."""


def _bounded(errors: list[ErrorDetails]) -> list[ErrorDetails]:
    unknown = [error for error in errors if error["type"] == "extra_forbidden"]
    dropped = {id(error) for error in unknown[MAX_UNKNOWN:]}
    return [error for error in errors if id(error) not in dropped]


def _told(error: ErrorDetails, known: Collection[str]) -> InitErrorDetails:
    """The error as it was, but for a name that is not known and for what pydantic says of itself."""
    place, told = error["loc"], error["msg"]
    if error["type"] == "extra_forbidden":
        name = str(place[-1])
        place, told = (*place[:-1], _clipped(name)), _unknown(name, known)
    elif error["type"] == "string_unicode":
        told = HALF
    # A sentence of its own: pydantic would look for placeholders in one with braces.
    kept = PydanticCustomError("refused", "{told}", {"told": told})
    return InitErrorDetails(type=kept, loc=place, input=None)


def _unknown(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name[:MAX_NAME_CHARACTERS], known, n=1, cutoff=0.5)
    return "there is no such field; " + (f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}")


def _clipped(name: str) -> str:
    plain = name[: MAX_NAME_CHARACTERS + 1].encode("ascii", "backslashreplace").decode()
    return plain if len(plain) <= MAX_NAME_CHARACTERS else f"{plain[: MAX_NAME_CHARACTERS - 1]}…"
