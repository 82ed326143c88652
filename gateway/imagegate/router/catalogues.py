"""What each provider offers, asked for again and again: the router starts before its providers.

A provider that was not read yet is tried as configured; one that stopped answering keeps the
catalogue that it had.
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog
from pydantic import ValidationError

from imagegate.router.endpoint import Endpoint
from imagegate.runtime.errors import Failure
from imagegate.runtime.models import MAX_MODELS, Catalogue, Model
from imagegate.runtime.redaction import clip
from imagegate.v1 import catalog_pb2

log = structlog.get_logger()

# Asked for often until it is known, and seldom from then on: it changes by hand, or by a key.
UNREAD_SECONDS = 1.0
READ_SECONDS = 10.0
KEYS_REMEMBERED = 64
KEY_BYTES = 64
PROBLEM_BYTES = 512
# Ours have some 50 KB. What is larger is not looked at, since looking takes the time of everybody's calls.
MAX_CATALOGUE_BYTES = 1024 * 1024


@dataclass(slots=True)
class Offer:
    """A provider as its service describes it; `catalogue` is None while it was never read."""

    catalogue: Catalogue | None = None
    # What the catalogue was read from: reading takes a tenth of a second where there are hundreds of models.
    read_from: bytes = b""
    reachable: bool = False
    disabled_reason: str = ""
    problem: str = ""
    quota_left: int | None = None
    key_variable: str = ""
    # The tokens that stand for its keys, one per process of it; those seen longest ago go first.
    keys: deque[str] = field(default_factory=lambda: deque(maxlen=KEYS_REMEMBERED))


class Catalogues:
    """The offers of all providers, kept up to date by one task each."""

    def __init__(self, on_new_key: Callable[[str], None], on_quota_left: Callable[[str], None]) -> None:
        self._on_new_key = on_new_key  # hears the name of a provider that has read another key
        self._on_quota_left = on_quota_left  # hears the name of one that says it may make requests
        self._offers: dict[str, Offer] = {}
        # Changes whenever another catalogue is in force, or a provider was switched on or off.
        self.revision = 0
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._asked: dict[str, asyncio.Event] = {}

    @property
    def known(self) -> Mapping[str, Catalogue]:
        """The catalogues that were read, by provider."""
        return {name: offer.catalogue for name, offer in self._offers.items() if offer.catalogue is not None}

    def has(self, provider: str, model: str) -> bool:
        """Whether `model` is the key of an entry: what may be a label."""
        offer = self._offers.get(provider)
        return offer is not None and offer.catalogue is not None and model in offer.catalogue.keys

    def offer(self, provider: str) -> Offer:
        """What is known of a provider."""
        return self._offers.get(provider, Offer())

    def watch(self, endpoint: Endpoint) -> None:
        """Begin to ask this provider, at this endpoint instead of a former one."""
        former = self._tasks.pop(endpoint.provider, None)
        if former is not None:
            former.cancel()
        self._offers.setdefault(endpoint.provider, Offer())
        self._asked[endpoint.provider] = asyncio.Event()
        self._tasks[endpoint.provider] = asyncio.create_task(self._keep_asking(endpoint))

    async def asked_once(self, within: float) -> None:
        """Wait until every provider was asked once, whatever it said, but at most `within` seconds."""
        waiting = [asyncio.create_task(asked.wait()) for asked in self._asked.values()]
        if waiting:
            _, late = await asyncio.wait(waiting, timeout=within)
            for task in late:
                task.cancel()

    async def forget(self, provider: str) -> None:
        """Stop asking, and forget what was offered."""
        await self._stop_asking(provider)
        self._offers.pop(provider, None)
        self._asked.pop(provider, None)
        self.revision += 1

    async def close(self) -> None:
        """Stop asking anybody."""
        for provider in list(self._tasks):
            await self._stop_asking(provider)

    async def _stop_asking(self, provider: str) -> None:
        task = self._tasks.pop(provider, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _keep_asking(self, endpoint: Endpoint) -> None:
        while True:
            try:
                await self._ask(endpoint)
            except Exception:
                # A bug of ours in reading one answer must not end the asking for ever.
                log.exception("a catalogue could not be read", provider=endpoint.provider)
            self._asked[endpoint.provider].set()
            await asyncio.sleep(READ_SECONDS if self._offers[endpoint.provider].reachable else UNREAD_SECONDS)

    async def _ask(self, endpoint: Endpoint) -> None:
        offer = self._offers[endpoint.provider]
        former = (offer.catalogue, offer.disabled_reason)
        problem = ""
        try:
            answer = await endpoint.list_models()
            _refuse_too_much(answer)
            told = next((p for p in answer.providers if p.name == endpoint.provider), None)
            if told is None:
                others = ", ".join(p.name for p in answer.providers) or "nobody"
                problem = clip(f"{endpoint.target} serves {others}, not {endpoint.provider}", PROBLEM_BYTES)
            else:
                _read(offer, answer, told)
                off = clip(told.disabled_reason, PROBLEM_BYTES) or "switched off"
                offer.disabled_reason = "" if told.enabled else off
                offer.key_variable = clip(told.key_variable, KEY_BYTES)
                offer.quota_left = told.quota_left if told.HasField("quota_left") else None
                key = clip(told.key_revision, KEY_BYTES)
                if key not in offer.keys:
                    offer.keys.append(key)
                    self._on_new_key(endpoint.provider)
                if offer.quota_left:
                    self._on_quota_left(endpoint.provider)
        except Failure as failure:
            problem = clip(f"{failure.message} (at {endpoint.target})", PROBLEM_BYTES)
        except ValueError as error:  # what it told is no catalogue
            problem = clip(f"its catalogue makes no sense: {_what_is_wrong(error)}", PROBLEM_BYTES)
        if former[0] is not offer.catalogue or former[1] != offer.disabled_reason:
            self.revision += 1
        if (offer.reachable, offer.problem) != (not problem, problem):
            log.info(
                "provider",
                provider=endpoint.provider,
                reachable=not problem,
                problem=problem,
                disabled_reason=offer.disabled_reason,
            )
        offer.reachable, offer.problem = not problem, problem


def _read(offer: Offer, answer: catalog_pb2.ListModelsResponse, told: catalog_pb2.Provider) -> None:
    """Take the catalogue of an answer, unless it is the one there is. Raises ValueError where it makes no sense."""
    outside = told.outside_catalogue if told.HasField("outside_catalogue") else None
    looked_at = catalog_pb2.Provider(name=told.name, outside_catalogue=outside, outside_pattern=told.outside_pattern)
    source = catalog_pb2.ListModelsResponse(models=answer.models, providers=[looked_at])
    read_from = hashlib.sha256(source.SerializeToString(deterministic=True)).digest()
    if read_from == offer.read_from:
        return
    offer.catalogue = Catalogue(
        provider=told.name,
        models=tuple(_model(model, told.name) for model in answer.models),
        outside=_model(outside, told.name) if outside is not None else None,
        outside_pattern=told.outside_pattern or "^$",
    )
    offer.read_from = read_from


def _refuse_too_much(answer: catalog_pb2.ListModelsResponse) -> None:
    """Raises ValueError where a provider tells more than anybody can want to know."""
    if len(answer.models) > MAX_MODELS:
        raise ValueError(f"it has {len(answer.models):,} models; at most {MAX_MODELS} are taken")
    if answer.ByteSize() > MAX_CATALOGUE_BYTES:
        raise ValueError(f"it has {answer.ByteSize():,} bytes; at most {MAX_CATALOGUE_BYTES:,} are taken")


def _model(told: catalog_pb2.Model, provider: str) -> Model:
    """The model that was told. Raises ValueError, which names it, where that is none, or somebody else's: what was said
    for the other one's upstream would go to this one.
    """
    if told.provider != provider:
        raise ValueError(f"{clip(told.key, 64)}: is of the provider {clip(told.provider, 64)!r}")
    try:
        return Model.from_proto(told)
    except ValueError as error:
        raise ValueError(f"{clip(told.key, 64)}: {_what_is_wrong(error)}") from error


def _what_is_wrong(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
