"""The rules that spoil answers, and which of them a call meets. Pure: `spoiling` does the deed."""

import difflib
import random
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from imagegate.sandbox.pictures import PICTURE_FAULTS

UpstreamName = Literal["huggingface", "huggingface-hub", "huggingface-endpoint", "fal", "automatic1111"]
FaultName = Literal[
    "status", "delay", "hang", "reset", "reset_mid_body", "truncate", "slow", "html", "json_200",
    "wrong_size", "black", "blank", "bomb", "huge", "loading",
]  # fmt: skip

# Nothing was done behind these: the upstream refused, or the model was not there yet.
REFUSALS = frozenset({"status", "loading"})
# This comes before the work: who has waited for it gets what was made.
BEFORE = frozenset({"delay"})


class BadRulesError(ValueError):
    """The caller's rules cannot be played; the message names every problem, one a line."""


class Rule(BaseModel):
    """One fault and the calls that meet it; a field that is absent matches every call.

    `path` (fnmatch) is compared with the whole path and with the path below the upstream's prefix, `model` (fnmatch)
    with the upstream's own id. `times` counts down and the rule is gone at 0. `seconds` is a length of time: of a
    `delay` (default 1), of a `hang` (default: until the client leaves), of `loading` (the estimate, default 20).
    `bytes` is the speed of `slow` in bytes a second (default 1) and the length of `huge` (default 200 MB, 0 = endless).
    `executed` says that the generation is done and billed although its answer is spoilt; a `code` of 500 or more is
    then by something in front of the upstream, and bears none of its ids. A header that is null is left out, also where
    the upstream itself would add it.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    upstream: UpstreamName
    fault: FaultName
    method: str | None = None
    path: str | None = None
    model: str | None = None
    times: int | None = Field(default=None, ge=1)
    probability: float = Field(default=1.0, ge=0, le=1)
    code: int | None = Field(default=None, ge=200, le=599)
    headers: dict[str, str | None] = {}
    body: JsonValue = None
    seconds: float | None = Field(default=None, ge=0)
    bytes: int | None = Field(default=None, ge=0)
    executed: bool | None = None

    @property
    def is_executed(self) -> bool:
        return self.executed if self.executed is not None else self.fault not in REFUSALS

    @property
    def sent_headers(self) -> dict[str, str]:
        """The headers that the answer has."""
        return {name: value for name, value in self.headers.items() if value is not None}

    @property
    def leaves_undone(self) -> bool:
        """Whether what is asked for in a call that meets it is not made."""
        return not self.is_executed and self.fault not in BEFORE

    def matches(self, upstream: str, method: str, paths: Iterable[str], model: str, *, has_picture: bool) -> bool:
        """Whether a call meets this rule, probability and count aside. A picture's fault needs a picture."""
        return (
            self.upstream == upstream
            and (has_picture or self.fault not in PICTURE_FAULTS)
            and (self.method is None or self.method.upper() == method)
            and (self.path is None or any(fnmatchcase(path, self.path) for path in paths))
            and (self.model is None or fnmatchcase(model, self.model))
        )


class Faults:
    """The rules in force; the first that matches a call is played. The dice are an argument: `seed` makes them fair."""

    def __init__(self, seed: int = 0) -> None:
        self._rules: list[Rule] = []
        self._dice = random.Random(seed)  # noqa: S311 - chance in a test, no secret

    def replace(self, rules: object) -> None:
        """Put these rules in place of all others. Raises BadRulesError, and then the old ones stay."""
        self._rules = read_rules(rules)

    def rules(self) -> list[dict[str, object]]:
        """The rules in force, as `replace` takes them; `times` is what is left."""
        return [rule.model_dump(exclude_unset=True) for rule in self._rules]

    def meet(self, upstream: str, method: str, paths: Iterable[str], model: str, *, has_picture: bool) -> Rule | None:
        """The rule that this call meets, used up by one."""
        for rule in self._rules:
            met = rule.matches(upstream, method, paths, model, has_picture=has_picture)
            if met and self._dice.random() < rule.probability:
                self._use(rule)
                return rule
        return None

    def _use(self, rule: Rule) -> None:
        if rule.times is not None:
            rule.times -= 1
            if rule.times == 0:
                self._rules = [other for other in self._rules if other is not rule]


def read_rules(rules: object) -> list[Rule]:
    """Rules from JSON. Raises BadRulesError naming each bad field, and the known name that is nearest to it."""
    try:
        return TypeAdapter(list[Rule]).validate_python(rules)
    except ValidationError as error:
        raise BadRulesError("\n".join(_explain(problem) for problem in error.errors())) from error


def _explain(problem: Any) -> str:
    where = [str(part) for part in problem["loc"]]
    if not where:
        return "expected a JSON list of rules"
    rule, field = f"rule {where[0]}", ".".join(where[1:])
    match problem["type"], field:
        case "extra_forbidden", _:
            return f"{rule}: unknown field {field!r}{_nearest(field, Rule.model_fields)}"
        case "literal_error", ("fault" | "upstream"):
            known = get_args(FaultName if field == "fault" else UpstreamName)
            return f"{rule}: unknown {field} {problem['input']!r}{_nearest(str(problem['input']), known)}"
        case _:
            return f"{rule}: {field or 'the rule'}: {problem['msg']}"


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.4)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"
