"""Which models a ListModels asks for. Pure; a provider and a router choose by it alike."""

import re
from collections.abc import Iterable, Iterator

from imagegate.runtime.errors import Violation, invalid_request
from imagegate.runtime.models import TASKS, TIERS, Model
from imagegate.runtime.redaction import clip
from imagegate.v1 import catalog_pb2

MAX_USE_CASE_CHARACTERS = 256


def chosen(request: catalog_pb2.ListModelsRequest, models: Iterable[Model]) -> list[Model]:
    """Those of `models` that have everything that `request` asks for; its provider is looked at elsewhere.

    Raises Failure(INVALID_REQUEST) where it asks for what cannot be.
    """
    if wrong := list(_violations(request)):
        raise invalid_request(wrong)
    task, words = TASKS.get(request.task), _words(request.use_case)
    return [
        model
        for model in models
        if (task is None or task in model.tasks)
        and request.tier in ("", model.tier)
        and words <= _words(model.use_case)
    ]


def _violations(request: catalog_pb2.ListModelsRequest) -> Iterator[Violation]:
    if request.tier and request.tier not in TIERS:
        yield Violation("tier", f"{clip(request.tier, 64)!r} is not one of {', '.join(TIERS)}")
    if request.task and request.task not in TASKS:
        yield Violation("task", f"{request.task} is not one of {', '.join(name.upper() for name in TASKS.values())}")
    if len(request.use_case) > MAX_USE_CASE_CHARACTERS:
        yield Violation("use_case", f"is longer than {MAX_USE_CASE_CHARACTERS} characters")


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.casefold()))
