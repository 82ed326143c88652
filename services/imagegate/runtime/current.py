"""Whose request the task at hand works on: its id, who asks, and what log lines say of it."""

import secrets
from collections.abc import Mapping
from contextvars import ContextVar
from types import MappingProxyType

from imagegate.runtime.callers import ANONYMOUS, Caller
from imagegate.runtime.validation import REQUEST_ID

REQUEST, BATCH = "request_id", "batch"

_told: ContextVar[Mapping[str, str]] = ContextVar("imagegate_told", default=MappingProxyType({}))
_caller: ContextVar[Caller] = ContextVar("imagegate_caller", default=ANONYMOUS)


def told_of_task() -> Mapping[str, str]:
    """What every log line of this task says of it: the id of its request, and of its batch where it has one."""
    return _told.get()


def current_request_id() -> str:
    """The id of the request that this task works on; empty outside of one."""
    return _told.get().get(REQUEST, "")


def current_caller() -> Caller:
    """Who asks for what this task works on; ANONYMOUS where callers are not told apart, and outside of a call."""
    return _caller.get()


def begin_request(*offered: str) -> str:
    """From now on this task works on another request, and its log lines say so: the first id of `offered` that is a
    legal one, else a new one. Returns the id.
    """
    request_id = next(filter(REQUEST_ID.fullmatch, offered), "") or secrets.token_hex(16)
    _told.set({**_told.get(), REQUEST: request_id})
    return request_id


def begin_batch() -> None:
    """The requests that begin in this task are those of a batch, which has the id of the request that it works on."""
    _told.set({**_told.get(), BATCH: current_request_id()})


def works_for(caller: Caller) -> None:
    """From now on this task works for `caller`."""
    _caller.set(caller)
