"""The requests of a batch, as they stand in a file."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
import yaml

from imagegate.client.commands.input_options import picture_of
from imagegate.runtime import strict_yaml
from imagegate.runtime.errors import Violation

STANDARD_INPUT = "-"
# The fields of a request that hold pictures, and what these are called there.
WITH_PICTURES = ("image_to_image", "inpainting", "pose_extraction", "controls", "identity")
PICTURES = ("image", "mask")
# Stands for a picture that cannot be read, so that what else is wrong with its request is found as well.
UNREADABLE = b"?"


def read_requests(file: str) -> tuple[Sequence[Any], Sequence[Violation]]:
    """The requests with their pictures, and every picture that cannot be had.

    Paths of pictures are relative to the file's folder. Raises typer.BadParameter where the file cannot be read, or is
    no list.
    """
    try:
        text = sys.stdin.read() if file == STANDARD_INPUT else Path(file).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise typer.BadParameter(f"{file!r} cannot be read ({why})", param_hint="FILE") from error
    requests = _parsed(text)
    folder = Path() if file == STANDARD_INPUT else Path(file).parent
    wrong: list[Violation] = []
    filled = [_with_pictures(each, f"requests[{number}]", folder, wrong) for number, each in enumerate(requests)]
    return filled, wrong


def _parsed(text: str) -> Sequence[object]:
    """A JSON list, one JSON value a line, or a YAML list. Raises typer.BadParameter."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = _lines(text) if text.lstrip().startswith("{") else _yaml(text)
    if isinstance(content, Mapping):
        return [content]
    if not isinstance(content, list):
        raise typer.BadParameter("is no list of requests, in YAML or JSON", param_hint="FILE")
    return content


def _lines(text: str) -> list[object]:
    found, wrong = [], []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            found += [json.loads(line)] if line.strip() else []
        except (ValueError, RecursionError) as error:
            wrong.append(f"line {number}: {error}")
    if wrong:
        raise typer.BadParameter(f"is no JSON: {'; '.join(wrong)}", param_hint="FILE")
    return found


def _yaml(text: str) -> object:
    try:
        return strict_yaml.parse(text)
    except yaml.YAMLError as error:
        raise typer.BadParameter(f"is no YAML: {' '.join(str(error).split())}", param_hint="FILE") from error


def _with_pictures(request: object, place: str, folder: Path, wrong: list[Violation]) -> object:
    """The request with the content of its pictures; `wrong` gets those that cannot be read."""

    def filled(value: object, at: str) -> object:
        if isinstance(value, list):
            return [filled(each, f"{at}[{number}]") for number, each in enumerate(value)]
        if not isinstance(value, Mapping):
            return value
        return {name: read(each, f"{at}.{name}") if name in PICTURES else each for name, each in value.items()}

    def read(value: object, at: str) -> object:
        if not isinstance(value, str):
            return value
        try:
            return picture_of(value, folder)
        except ValueError as error:
            wrong.append(Violation(at, str(error)))
            return UNREADABLE

    if not isinstance(request, Mapping):
        return request
    return {
        name: filled(value, f"{place}.{name}") if name in WITH_PICTURES else value for name, value in request.items()
    }
