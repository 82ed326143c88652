"""Whose key it is, as the Hub says: asked rarely, because that question is strictly rate limited.

https://huggingface.co/docs/hub/api
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from imagegate.providers.huggingface.wire import to_error
from imagegate.runtime.answer import Answer
from imagegate.runtime.errors import Failure, Reason
from imagegate.runtime.settings import Secret
from imagegate.runtime.upstream import UpstreamClient
from imagegate.runtime.words import parsed

log = structlog.get_logger()

WHOAMI = "/api/whoami-v2"
# Seconds for which an answer is believed: that the key works, and anything else.
ACCEPTED_SECONDS = 300.0
OTHERWISE_SECONDS = 30.0
# Seconds that the Hub gets to answer.
PATIENCE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class _Known:
    """An answer, None where there was none, and how long it is believed of which key."""

    answer: Answer | None
    revision: str
    until: float


class Account:
    """The Hub's word on our key, remembered for a while by `clock` (seconds), and only for the key it was about."""

    def __init__(self, client: UpstreamClient, url: str, key: Secret, clock: Callable[[], float]) -> None:
        self._client = client
        self._url = url
        self._key = key
        self._clock = clock
        self._asking = asyncio.Lock()
        self._known: _Known | None = None

    async def accepts_key(self) -> bool | None:
        """Whether Hugging Face takes the key; None where it does not tell.

        Raises Failure(CREDENTIALS_REJECTED) where it does not take it.
        """
        async with self._asking:  # whoever comes meanwhile waits for the same answer
            known, revision = self._known, self._key.revision
            if known is None or known.revision != revision or self._clock() >= known.until:
                known = self._known = await self._ask(revision)
        if known.answer is None:
            return None
        if _names_somebody(known.answer):
            return True
        refusal = to_error(known.answer, "")
        if refusal.reason is Reason.CREDENTIALS_REJECTED:
            raise refusal
        return None

    async def _ask(self, revision: str) -> _Known:
        answer: Answer | None = None
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                answer = await self._client.json_call("GET", self._url + WHOAMI)
        except (Failure, TimeoutError) as error:
            # Whoever asks for the model itself learns why.
            log.info("the hub does not tell whose key it is", message=str(error) or "no answer in time")
        keep = ACCEPTED_SECONDS if answer is not None and _names_somebody(answer) else OTHERWISE_SECONDS
        return _Known(answer, revision, self._clock() + keep)


def _names_somebody(answer: Answer) -> bool:
    return answer.status == 200 and isinstance(parsed(answer), dict)
