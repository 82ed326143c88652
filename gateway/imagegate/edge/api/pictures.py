"""`/api/pictures`, `/api/projects`: the caller's gallery.

Another's picture is answered like one that never was.
"""

import re
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, Field

from imagegate.edge.api.answering import as_json
from imagegate.edge.api.record import Record, Sign, moment
from imagegate.edge.api.strict import Query, Text
from imagegate.edge.body import parsed
from imagegate.edge.caller import Caller
from imagegate.edge.endpoint import Call, Endpoint, tell_problem
from imagegate.edge.gallery import Gallery, Picture
from imagegate.edge.problem import Problem, not_found
from imagegate.runtime.validation import MAX_LABEL_CHARACTERS

ID = re.compile(r"[0-9a-f]{32}")
PAGE = 50


class Which(Query):
    """Which pictures are listed."""

    project: Text | None = Field(None, max_length=MAX_LABEL_CHARACTERS, description="Only those of this one.")
    # Up to the year 2286: what does not fit into a column is refused.
    before: Annotated[str, Field(pattern=r"^[0-9]{0,13}$")] | None = Field(
        None, description="What the page before gave as next."
    )
    limit: int = Field(PAGE, ge=1, le=200)


class Page(BaseModel):
    """Pictures, the latest first; `next` is where the following page begins, null after the last one."""

    pictures: list[Record]
    next: str | None


class Project(BaseModel):
    """A project; pictures without one belong to the one without a name."""

    name: str
    pictures: int
    last: str = Field(description="When its last picture was made.")


class Projects(BaseModel):
    """The caller's projects, the last used first."""

    projects: list[Project]


async def own_picture(gallery: Gallery, caller: Caller, picture_id: str) -> Picture | None:
    """The caller's picture with this id; what cannot be an id is not looked for."""
    return await gallery.find(caller.user, picture_id) if ID.fullmatch(picture_id) else None


class Pictures:
    """The gallery of whoever asks."""

    def __init__(self, gallery: Gallery, sign: Sign) -> None:
        self._gallery = gallery
        self._sign = sign

    def endpoints(self) -> list[Endpoint]:
        """The routes."""
        one = "/api/pictures/{id}"
        return [
            Endpoint("GET", "/api/pictures", self.page, "Your pictures", tell_problem, answers=Page, query=Which),
            Endpoint("GET", one, self.picture, "One of your pictures", tell_problem, answers=Record),
            Endpoint("DELETE", one, self.remove, "Forget one of your pictures", tell_problem),
            Endpoint("GET", "/api/projects", self.projects, "Your projects", tell_problem, answers=Projects),
        ]

    async def page(self, call: Call) -> web.Response:
        """Some of the pictures."""
        which = parsed(Which, dict(call.request.query))
        before = int(which.before) if which.before else None
        found = await self._gallery.page(call.caller.user, project=which.project, before=before, limit=which.limit + 1)
        shown = found[: which.limit]
        following = str(shown[-1].created) if len(found) > which.limit else None
        return as_json(Page(pictures=[Record.of(picture, self._sign) for picture in shown], next=following))

    async def picture(self, call: Call) -> web.Response:
        """One picture's record."""
        picture = await own_picture(self._gallery, call.caller, call.request.match_info["id"])
        if picture is None:
            raise _no_picture()
        return as_json(Record.of(picture, self._sign))

    async def remove(self, call: Call) -> web.Response:
        """Forget one picture."""
        picture_id = call.request.match_info["id"]
        if not ID.fullmatch(picture_id) or not await self._gallery.remove(call.caller.user, picture_id):
            raise _no_picture()
        return web.Response(status=204)

    async def projects(self, call: Call) -> web.Response:
        """The projects."""
        found = await self._gallery.projects(call.caller.user)
        listed = [Project(name=name, pictures=count, last=moment(last / 1000)) for name, count, last in found]
        return as_json(Projects(projects=listed))


def _no_picture() -> Problem:
    return not_found("there is no such picture")
