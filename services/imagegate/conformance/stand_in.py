"""The sandbox, over HTTP: what it plays, and what it has seen."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any

import aiohttp

# Seconds for one question to a process of this machine.
ASK_SECONDS = 10.0
# How often each rule may be met: what is left of it tells how often it was.
MANY = 1_000_000
POLL_SECONDS = 0.02

Rule = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Played:
    """Rules that are in force."""

    stand_in: "StandIn"
    count: int

    async def met(self, index: int = 0) -> int:
        """How often the rule at `index` was met so far."""
        left = await self.stand_in.rules()
        return MANY - int(left[index]["times"])

    async def until(self, is_enough: Callable[[int], bool], within: float, index: int = 0) -> bool:
        """Wait until the rule at `index` was met often enough; whether that came within `within` seconds."""
        end = monotonic() + within
        while not is_enough(await self.met(index)):
            if monotonic() >= end:
                return False
            await asyncio.sleep(POLL_SECONDS)
        return True


class StandIn:
    """The sandbox at `url`, asked through `session`."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url.rstrip("/")
        self._session = session

    async def answers(self) -> bool:
        """Whether a sandbox is there at all."""
        try:
            index = await self._ask("GET", "/")
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return False
        return isinstance(index, dict) and "prefixes" in index

    async def rules(self) -> list[dict[str, Any]]:
        """The rules in force."""
        rules: list[dict[str, Any]] = await self._ask("GET", "/_faults")
        return rules

    async def billing(self) -> list[dict[str, Any]]:
        """What was made."""
        made: list[dict[str, Any]] = await self._ask("GET", "/_billing")
        return made

    async def replace(self, rules: Sequence[Rule]) -> None:
        """Put these rules in place of all others."""
        await self._ask("PUT", "/_faults", json=list(rules))

    @asynccontextmanager
    async def playing(self, *rules: Rule) -> AsyncIterator[Played]:
        """Play these rules, and no others, until the block is left."""
        await self.replace([{**rule, "times": MANY} for rule in rules])
        try:
            yield Played(self, len(rules))
        finally:
            await self.replace([])

    @asynccontextmanager
    async def borrowed(self) -> AsyncIterator[None]:
        """Leave the sandbox with the rules that it had, however the block is left."""
        before = await self.rules()
        await self.replace([])
        try:
            yield
        finally:
            await self.replace(before)

    async def _ask(self, method: str, path: str, **what: Any) -> Any:
        async with asyncio.timeout(ASK_SECONDS), self._session.request(method, self.url + path, **what) as answer:
            answer.raise_for_status()
            return await answer.json()
