"""How a row of the table becomes a piece of the description."""

from typing import Any

import pytest
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from imagegate.edge import openapi
from imagegate.edge.caller import Access
from imagegate.edge.endpoint import IDEMPOTENT, Call, Endpoint, tell_problem


class Colour(BaseModel):
    name: str


class Taken(BaseModel):
    model_config = ConfigDict(extra="forbid")

    colour: Colour
    strength: float = Field(ge=0, le=1)


class Query(BaseModel):
    limit: int = Field(default=50, ge=1, description="How many.")
    colour: Colour | None = None


async def nothing(_call: Call) -> web.Response:
    return web.Response()


def operation(method: str = "GET", path: str = "/api/colours", **row: Any) -> dict[str, Any]:
    """The operation object of one row."""
    told = openapi.document([Endpoint(method, path, nothing, "Colours", tell_problem, **row)])
    [item] = told["paths"].values()
    found: dict[str, Any] = item[method.lower()]
    return found


def test_a_body_is_a_schema_of_its_own_in_every_media_type_that_is_taken() -> None:
    """What a model refers to stands beside it, by its name."""
    row = {"takes": Taken, "max_bytes": 1000, "media": ("application/json", "multipart/form-data")}
    told = openapi.document([Endpoint("POST", "/api/colours", nothing, "Colours", tell_problem, **row)])
    body = told["paths"]["/api/colours"]["post"]["requestBody"]
    assert body["content"].keys() == {"application/json", "multipart/form-data"}
    assert body["content"]["application/json"] == {"schema": {"$ref": "#/components/schemas/Taken"}}
    schemas = told["components"]["schemas"]
    assert schemas["Taken"]["additionalProperties"] is False
    assert schemas["Taken"]["properties"]["colour"] == {"$ref": "#/components/schemas/Colour"}
    assert schemas["Colour"]["required"] == ["name"]


def test_query_and_path_are_parameters() -> None:
    """Ranges, defaults and patterns are told; aiohttp's spelling of a variable is not."""
    found = operation(path="/api/colours/{number:[0-9]+}/{rest:.*}", query=Query)
    number, rest, limit, colour = found["parameters"]
    assert (number["in"], number["required"], number["schema"]["pattern"]) == ("path", True, "^[0-9]+$")
    assert rest["schema"] == {"type": "string"}
    assert (limit["in"], limit["required"], limit["description"]) == ("query", False, "How many.")
    assert limit["schema"]["minimum"] == 1
    assert colour["schema"]["anyOf"][0] == {"$ref": "#/components/schemas/Colour"}
    assert found["operationId"] == "get_api_colours_number_rest"


@pytest.mark.parametrize(
    ("row", "status", "media"),
    [
        ({"answers": Colour}, "200", {"application/json"}),
        (
            {"answers": Colour, "answers_media": ("text/event-stream",)},
            "200",
            {"application/json", "text/event-stream"},
        ),
        ({"answers_media": ("image/png", "image/webp")}, "200", {"image/png", "image/webp"}),
        ({}, "204", set()),
    ],
)
def test_an_answer_is_json_a_stream_bytes_or_nothing(row: dict[str, Any], status: str, media: set[str]) -> None:
    """Each by its media type."""
    responses = operation(**row)["responses"]
    assert {each for each in responses if each < "300"} == {status}
    assert responses[status].get("content", {}).keys() == media


@pytest.mark.parametrize(
    ("row", "statuses"),
    [
        ({"access": Access.ANYBODY}, {500, 503}),
        ({}, {400, 401, 404, 429, 500, 503, 504}),
        ({"access": Access.OPERATOR}, {400, 401, 403, 404, 429, 500, 502, 503, 504}),
        ({"access": Access.ANYBODY, "query": Query}, {400, 500, 503}),
        ({"access": Access.ANYBODY, "max_bytes": 1}, {400, 408, 413, 415, 500, 503}),
        ({"generates": True}, {400, 401, 403, 404, 409, 429, 499, 500, 501, 503, 504, 507}),
    ],
)
def test_problems_are_told_by_status(row: dict[str, Any], statuses: set[int]) -> None:
    """What may go wrong follows from who may ask, what is taken and whether a model is asked; each has a shape."""
    found = operation(**row)
    problems = {int(status): each for status, each in found["responses"].items() if status >= "400"}
    assert problems.keys() == statuses
    for status, problem in problems.items():
        assert problem["content"].keys() == {"application/problem+json"}
        assert ("Retry-After" in problem["headers"]) == (status in {429, 503})
    assert (found.get("security") == []) == (row.get("access") is Access.ANYBODY)


def test_a_row_may_say_more() -> None:
    """What it adds is merged into what follows from it: lists are joined, the rest below its name."""
    more = {
        "description": "All of them.",
        **IDEMPOTENT,
        "responses": {"200": {"description": "Colours, brightest first."}, "206": {"description": "Some of them."}},
    }
    found = operation(query=Query, answers=Colour, openapi=more)
    assert [each["name"] for each in found["parameters"]] == ["limit", "colour", "Idempotency-Key"]
    assert found["responses"]["200"]["description"] == "Colours, brightest first."
    assert "application/json" in found["responses"]["200"]["content"]
    assert found["responses"]["206"] == {"description": "Some of them."}
