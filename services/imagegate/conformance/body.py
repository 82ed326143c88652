"""Recorded answers of the upstreams, and what a provider has to make of each. Pure but for reading them.

Beside this module there is one file per upstream. Its head says how the upstream is talked to, as far as it has to be
known in order to play an answer; each entry is one answer as it was seen, and what a provider has to make of it.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from imagegate.runtime.errors import Dispatch, Reason
from imagegate.runtime.strict_yaml import parse

FOLDER = Path(__file__).with_name("bodies")
SUBMISSION = "submission"
# Stands in a model's name for letters that were never asked for before.
FRESH = "{fresh}"

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
# Whether the upstream charges: its word, or that nobody can know. Absent: not judged.
Billed = bool | Literal["unknown"] | None


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Step(_Strict):
    """One call of a conversation, as a rule of the sandbox matches it, and how far an attempt is that fails there."""

    upstream: str
    method: str | None = None
    path: str | None = None
    dispatch: Dispatch | None = None
    billed: Billed = None

    def rule(self, fault: str, **fields: object) -> dict[str, object]:
        """The sandbox's rule that plays `fault` at this step."""
        match = {"upstream": self.upstream, "method": self.method, "path": self.path}
        return {name: value for name, value in match.items() if value is not None} | {"fault": fault} | fields


class Body(_Strict):
    """One answer, and what it means.

    `body` is sent as it is where it is a text, and as JSON else; a header that is null is one that the upstream would
    send and this answer lacks. `words` and `remedy` are texts that the record of the attempt has to contain; `seen`
    says where the answer was seen in public. `model` is asked for where the default one never gets to that step.
    `may_deliver`: whoever finds another way to the picture in spite of it does better still.
    """

    name: Name
    seen: Annotated[str, Field(min_length=1)]
    step: str = SUBMISSION
    model: str = ""
    status: Annotated[int, Field(ge=200, le=599)]
    headers: Mapping[str, str | None] = {}
    body: JsonValue
    reason: Reason
    may_deliver: bool = False
    dispatch: Dispatch | None = None
    billed: Billed = None
    retry_after: Annotated[float, Field(ge=0)] | None = None
    words: str = ""
    remedy: str = ""


class Recording(_Strict):
    """Everything that is recorded of one upstream.

    `ids` says when the upstream names its work (early: before it is done), `cancel` how work that nobody waits for is
    stopped, and `addresses` the paths in the sandbox by the variables that point our own provider there.
    """

    upstream: Name
    ids: Literal["early", "late", "none"]
    cancel: Literal["call", "connection", "none"]
    addresses: Mapping[str, str]
    steps: Mapping[str, Step]
    bodies: tuple[Body, ...]

    @model_validator(mode="after")
    def _is_whole(self) -> "Recording":
        needed = {SUBMISSION} | ({"status"} if self.ids == "early" else set())
        needed |= {"cancel"} if self.cancel == "call" else set()
        missing = needed - self.steps.keys()
        names = [body.name for body in self.bodies]
        problems = [f"there is no step {step}" for step in sorted(missing)]
        problems += [
            f"{body.name}: there is no step {body.step}" for body in self.bodies if body.step not in self.steps
        ]
        problems += [f"{name} stands twice" for name in dict.fromkeys(names) if names.count(name) > 1]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def rule(self, body: Body) -> dict[str, object]:
        """The sandbox's rule that plays this answer."""
        headers = dict(body.headers)
        return self.steps[body.step].rule("status", code=body.status, headers=headers, body=body.body)

    def dispatch(self, body: Body) -> Dispatch | None:
        """How far the attempt got."""
        return body.dispatch or self.steps[body.step].dispatch

    def billed(self, body: Body) -> Billed:
        """Whether it is charged: what was refused or not sent never is."""
        told = self.steps[body.step].billed if body.billed is None else body.billed
        return False if told is None and self.dispatch(body) in (Dispatch.NOT_SENT, Dispatch.REFUSED) else told


def upstreams() -> list[str]:
    """The upstreams of which there are recordings."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


@cache
def load(upstream: str) -> Recording:
    """What is recorded of `upstream`, one of `upstreams()`.

    Raises OSError, yaml.YAMLError or pydantic.ValidationError where our own file is broken.
    """
    return Recording.model_validate(parse((FOLDER / f"{upstream}.yaml").read_text(encoding="utf-8")))
