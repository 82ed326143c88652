"""`GET /openapi.json`: OpenAPI 3.1, made from the table of endpoints, so that it cannot say anything else."""

import json
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from types import MappingProxyType
from typing import Any, cast

from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue, models_json_schema
from pydantic_core.core_schema import WithDefaultSchema

from imagegate.edge.caller import Access
from imagegate.edge.endpoint import Call, Endpoint, Tell, tell_problem
from imagegate.edge.problem import STATUSES, ProblemDocument

PATH = "/openapi.json"
REF = "#/components/schemas/{model}"
# `{name}` or `{name:pattern}`, as aiohttp has it.
VARIABLE = re.compile(r"\{(\w+)(?::([^{}]+))?\}")

# How a family shows a problem: the media type, and the shape of it.
Shape = tuple[str, type[BaseModel]]
PROBLEM: Shape = ("application/problem+json", ProblemDocument)
NO_OTHERS: Mapping[Tell, Shape] = MappingProxyType({})

# The first that a path begins with says whose it is.
TAGS = {
    "/v1/": ("OpenAI", "The shapes of OpenAI's images API: its own clients work with them."),
    "/api/ai/": ("Web backends", "Pictures by URL, models, estimates and recommendations."),
    "/api/": ("The page", "What the page at `/` is made of."),
    "/uploads/": ("Pictures", "Pictures that were made, for their owner and by signed link."),
    "/": ("This edge", "Its page, its health and this description."),
}

MEANINGS = {
    400: "The request is not valid; every field that is wrong is named.",
    401: "There is no key, or it is not known here.",
    403: "This key may not.",
    404: "There is nothing here, or it is somebody else's.",
    408: "The body came too slowly.",
    409: "It contradicts what was asked under the same key before.",
    413: "The body is too large.",
    415: "The body is of another kind.",
    429: "Too much at once; Retry-After says when to come back.",
    499: "The caller left.",
    500: "A bug of imagegate's own; its log has more.",
    501: "Nobody here can do this.",
    502: "No router has taken it.",
    503: "Nobody can do this just now; Retry-After says when to come back.",
    504: "It took too long.",
    507: "There is no room for another picture; one that was made and paid for is in the answer.",
}


def endpoints(described: Sequence[Endpoint], shapes: Mapping[Tell, Shape] = NO_OTHERS) -> list[Endpoint]:
    """The route of the description, which lists `described` and itself. `shapes` are those of families which show
    problems in a way of their own.
    """

    async def serve(_call: Call) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    own = Endpoint(
        "GET",
        PATH,
        serve,
        "This description",
        tell_problem,
        access=Access.ANYBODY,
        answers_media=("application/json",),
    )
    body = json.dumps(document([*described, own], shapes), ensure_ascii=False).encode()
    return [own]


def document(described: Sequence[Endpoint], shapes: Mapping[Tell, Shape] = NO_OTHERS) -> dict[str, Any]:
    """The description of these endpoints."""
    refs, schemas = _schemas(described, shapes)
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in described:
        query = _query(endpoint, schemas)
        operation = _operation(endpoint, query, refs, shapes.get(endpoint.tell, PROBLEM))
        paths.setdefault(_path(endpoint), {})[endpoint.method.lower()] = _merged(operation, endpoint.openapi)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "imagegate",
            "version": version("imagegate"),
            "summary": "One front door to every image model.",
            "description": "HEAD is answered wherever GET is, as GET is, without the body.",
            "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": told} for name, told in TAGS.values()],
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "A key made by `imagegate key`: `ig_…`."}
            },
            "headers": {
                "RequestId": {"description": "What to look for in the logs.", "schema": {"type": "string"}},
                "RetryAfter": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 0}},
            },
        },
    }


class _Schemas(GenerateJsonSchema):
    """Schemas without defaults that say no more than that nothing was said."""

    def default_schema(self, schema: WithDefaultSchema) -> JsonSchemaValue:
        """The schema of a value with a default."""
        return (
            self.generate_inner(schema["schema"]) if schema.get("default") is None else super().default_schema(schema)
        )


Refs = Mapping[tuple[type[BaseModel], JsonSchemaMode], Mapping[str, Any]]


def _schemas(described: Sequence[Endpoint], shapes: Mapping[Tell, Shape]) -> tuple[Refs, dict[str, Any]]:
    """What to write where a model is meant, and the schemas of all of them by name."""
    wanted: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {}
    for endpoint in described:
        if endpoint.takes is not None:
            wanted[endpoint.takes, "validation"] = None
        if endpoint.answers is not None:
            wanted[endpoint.answers, "serialization"] = None
    wanted.update({(model, "serialization"): None for _, model in (PROBLEM, *shapes.values())})
    refs, definitions = models_json_schema(list(wanted), ref_template=REF, schema_generator=_Schemas)
    return cast(Refs, refs), dict(definitions["$defs"])


def _operation(endpoint: Endpoint, query: list[dict[str, Any]], refs: Refs, shape: Shape) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{endpoint.method.lower()}{_path(endpoint)}").strip("_"),
        "summary": endpoint.summary,
        "tags": [next(name for start, (name, _) in TAGS.items() if endpoint.path.startswith(start))],
        "responses": {**_answer(endpoint, refs), **_problems(endpoint, refs, shape)},
    }
    if endpoint.access is Access.ANYBODY:
        operation["security"] = []
    if parameters := [*_variables(endpoint), *query]:
        operation["parameters"] = parameters
    if endpoint.max_bytes:
        schema = {"schema": refs[endpoint.takes, "validation"]} if endpoint.takes is not None else {}
        content = dict.fromkeys(endpoint.media, schema)
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _answer(endpoint: Endpoint, refs: Refs) -> dict[str, Any]:
    headers = {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}}
    content: dict[str, Any] = {media: _plain(media) for media in endpoint.answers_media}
    if endpoint.answers is not None:
        content["application/json"] = {"schema": refs[endpoint.answers, "serialization"]}
    if not content:
        return {"204": {"description": "It is done.", "headers": headers}}
    return {"200": {"description": endpoint.summary, "headers": headers, "content": content}}


def _plain(media: str) -> dict[str, Any]:
    """The media type object of what is no JSON of ours: a text, or what no schema describes, bytes and events."""
    return {"schema": {"type": "string"}} if media == "text/plain" else {}


def _problems(endpoint: Endpoint, refs: Refs, shape: Shape) -> dict[str, Any]:
    media, model = shape
    content = {media: {"schema": refs[model, "serialization"]}}
    return {str(status): _problem(status, content) for status in _statuses(endpoint)}


def _problem(status: int, content: Mapping[str, Any]) -> dict[str, Any]:
    headers = {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}}
    if status in {429, 503}:
        headers["Retry-After"] = {"$ref": "#/components/headers/RetryAfter"}
    return {"description": MEANINGS[status], "headers": headers, "content": content}


def _statuses(endpoint: Endpoint) -> list[int]:
    """Everything that this endpoint may answer but a success."""
    found = {500, 503}
    if endpoint.access is not Access.ANYBODY:
        # Whatever the router may say besides is said through these.
        found |= {400, 401, 404, 429, 504}
    if endpoint.access is Access.OPERATOR:
        found |= {403, 502}
    if endpoint.max_bytes:
        found |= {400, 408, 413, 415}
    if endpoint.query is not None:
        found |= {400}
    if VARIABLE.search(endpoint.path):
        found |= {404}
    if endpoint.generates:
        found |= {*STATUSES.values(), 507}
    return sorted(found)


def _variables(endpoint: Endpoint) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", **({"pattern": f"^{pattern}$"} if pattern not in {"", ".*"} else {})},
        }
        for name, pattern in VARIABLE.findall(endpoint.path)
    ]


def _query(endpoint: Endpoint, schemas: dict[str, Any]) -> list[dict[str, Any]]:
    """The query parameters; what they refer to is added to the `schemas`."""
    if endpoint.query is None:
        return []
    schema = endpoint.query.model_json_schema(ref_template=REF, schema_generator=_Schemas)
    schemas.update(schema.get("$defs", {}))
    required = schema.get("required", [])
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            **({"description": field.pop("description")} if "description" in field else {}),
            "schema": field,
        }
        for name, field in schema.get("properties", {}).items()
    ]


def _path(endpoint: Endpoint) -> str:
    return VARIABLE.sub(r"{\1}", endpoint.path)


def _merged(operation: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """`operation` with `more` of it: lists are joined, what is below a name is merged, anything else is replaced."""
    merged = dict(operation)
    for name, value in more.items():
        old = merged.get(name)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            merged[name] = _merged(old, value)
        elif isinstance(old, list) and isinstance(value, list):
            merged[name] = [*old, *value]
        else:
            merged[name] = value
    return merged
