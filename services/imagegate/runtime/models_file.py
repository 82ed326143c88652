"""A provider's models.yaml, read and checked: every problem is told at once, by its place in the file."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from imagegate.runtime import strict_yaml
from imagegate.runtime.models import Catalogue


class CatalogueError(ValueError):
    """Models that cannot be used; `problems` lists every one with its place in `source`, the file where it is known."""

    def __init__(self, *problems: str, source: str = "") -> None:
        self.problems = problems
        self.source = source
        listed = "; ".join(problems)
        super().__init__(f"{source}: {listed}" if source else listed)


def load_catalogue(provider: str, path: Path) -> Catalogue:
    """Read a provider's models.yaml.

    Raises CatalogueError with every problem at once.
    """
    source = f"{path.name} of {provider}"
    return to_catalogue(provider, read_models(path, source), source)


def read_models(path: Path, source: str) -> dict[str, Any]:
    """What a file says of models, by key; `source` is what its problems call it.

    Raises CatalogueError where it cannot be read, or is no mapping of models at all.
    """
    try:
        content = strict_yaml.parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CatalogueError(f"cannot be read: {error}", source=source) from error
    if problems := list(_misshapen(content)):
        raise CatalogueError(*problems, source=source)
    return dict(content)


def is_overlay(path: Path) -> bool:
    """Whether a file speaks of models, and not of the providers and routes of a router's configuration."""
    try:
        content = strict_yaml.parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return False
    return isinstance(content, dict) and "models" in content and not {"providers", "routes"} & content.keys()


def to_catalogue(provider: str, content: Mapping[str, Any], source: str) -> Catalogue:
    """The catalogue that `read_models` has read. Raises CatalogueError with every problem at once."""
    try:
        return Catalogue.model_validate(_named(provider, content))
    except ValidationError as error:
        problems = (_told(problem, list(content["models"])) for problem in error.errors())
        raise CatalogueError(*problems, source=source) from error


def _misshapen(content: object) -> Iterator[str]:
    """What keeps the file from being a mapping of models at all."""
    if not isinstance(content, dict) or not isinstance(content.get("models"), dict):
        yield "it needs a mapping `models` of key to entry"
        return
    entries = {f"models.{key}": entry for key, entry in content["models"].items()}
    if content.get("outside") is not None:
        entries["outside"] = content["outside"]
    if "provider" in content:
        yield "provider: is known from the file's place, not written in it"
    for place, entry in entries.items():
        if not isinstance(entry, dict):
            yield f"{place}: is no mapping"
            continue
        if entry.get("tasks") == []:  # whoever hears of none takes it for a model that makes pictures from words
            yield f"{place}.tasks: names none"
        yield from (f"{place}.{name}: is known from the entry's place" for name in ("key", "provider") if name in entry)
        if "samplers" in entry:
            yield f"{place}.samplers: are asked of the upstream, not written in the file"


def _named(provider: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """The file's mapping of key → entry as a list of entries that know their key and provider."""
    models = [{"key": key, "provider": provider, **entry} for key, entry in content["models"].items()]
    outside = content.get("outside")
    if outside is not None:
        outside = {"key": "outside", "provider": provider, "display_name": "", "upstream_model": "", **outside}
    return {**content, "provider": provider, "models": models, "outside": outside}


def _told(problem: ErrorDetails, keys: list[Any]) -> str:
    """One problem with its place in the file, a model by its key."""
    place = list(problem["loc"])
    if len(place) > 1 and place[0] == "models" and isinstance(place[1], int):
        place[1] = keys[place[1]]
    where = ".".join(map(str, place))
    return f"{where}: {problem['msg']}" if where else problem["msg"]
