"""One call to an upstream: what was sent, which fault is played, how it is settled and how it is refused."""

import json
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from aiohttp import web

from imagegate.sandbox.faults import Rule, UpstreamName
from imagegate.sandbox.ledger import Generation, Ledger, State
from imagegate.sandbox.pictures import PICTURE_FAULTS


class Target(NamedTuple):
    """What a call is about: the model by the upstream's own id ("" if none), and whether its answer has a picture."""

    model: str = ""
    has_picture: bool = False


class Upstream(Protocol):
    """A stand-in for one upstream. `prefixes` are the paths it lives under, one for each of its hosts."""

    name: UpstreamName
    prefixes: tuple[str, ...]

    def routes(self) -> Iterable[web.RouteDef]:
        """Every path below the prefixes, the unknown ones included."""
        ...

    def target(self, method: str, path: str, body: object) -> Target:
        """What a request to the whole `path` is about, as far as it can be told before it is checked."""
        ...

    def stamp(self, headers: MutableMapping[str, str], seconds: float) -> None:
        """Add what this upstream puts on every answer; `seconds` is how long the answer took."""
        ...

    @property
    def at_work(self) -> int:
        """How many generations go on, whether or not anybody still waits for them."""
        ...

    async def close(self) -> None:
        """End whatever still runs."""
        ...


@dataclass
class Call:
    """One request under way. `body` is its JSON body, or None where it has none that can be read."""

    upstream: UpstreamName
    target: Target
    body: object
    rule: Rule | None
    started: float
    ledger: Ledger

    @property
    def spoilt(self) -> str | None:
        """The fault that the pictures of this call suffer, if any."""
        return self.rule.fault if self.rule is not None and self.rule.fault in PICTURE_FAULTS else None

    @property
    def flagged(self) -> bool:
        """Whether a safety checker, where the upstream tells, says that it blackened the picture."""
        return self.spoilt == "black"

    @property
    def is_by_an_ingress(self) -> bool:
        """Whether something in front of the upstream answers in its place, while the upstream does the work."""
        rule = self.rule
        return rule is not None and rule.is_executed and rule.code is not None and rule.code >= 500

    def settle(
        self,
        id: str,
        prompt: str,
        seed: int,
        state: State = "finished",
        model: str | None = None,
        instructions: tuple[str, ...] = (),
    ) -> None:
        """Put what became of this generation into the ledger; one that a rule leaves undone has failed."""
        done: State = "failed" if self.rule is not None and self.rule.leaves_undone else state
        model = self.target.model if model is None else model
        billed = done == "finished"
        self.ledger.settle(Generation(self.upstream, model, id, prompt, seed, done, billed, instructions))


CALL: web.RequestKey[Call] = web.RequestKey("call", Call)


class RefusedError(Exception):
    """The upstream's refusal: whose fault it is stands in `status`. A str `body` is sent as text, all else as JSON."""

    def __init__(self, status: int, body: object, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body
        self.headers = headers or {}

    def answer(self) -> web.Response:
        return answer_of(self.status, self.body, self.headers)


def answer_of(status: int, body: object, headers: Mapping[str, str] | None = None) -> web.Response:
    """An answer of text or of JSON, whichever the body is; a Content-Type among `headers` wins."""
    is_text = isinstance(body, str)
    content = body if isinstance(body, str) else json.dumps(body)
    kind = "text/plain; charset=utf-8" if is_text else "application/json"
    given = {name.title(): value for name, value in (headers or {}).items()}
    return web.Response(status=status, body=content.encode(), headers={"Content-Type": kind} | given)
