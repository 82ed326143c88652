"""Whose request the task at hand works on: its id, and who asks."""

import uuid
from contextvars import ContextVar

import structlog

from imagegate.runtime.callers import ANONYMOUS, Caller
from imagegate.runtime.validation import REQUEST_ID

_request_id: ContextVar[str] = ContextVar("imagegate_request_id", default="")
_caller: ContextVar[Caller] = ContextVar("imagegate_caller", default=ANONYMOUS)


def current_request_id() -> str:
    """The id of the request that this task works on; empty outside of one."""
    return _request_id.get()


def current_caller() -> Caller:
    """Who asks for what this task works on; ANONYMOUS where callers are not told apart, and outside of a call."""
    return _caller.get()


def begin_request(*offered: str) -> str:
    """From now on this task works on another request, and its log lines say so: the first id of `offered` that is a
    legal one, else a new one. Returns the id.
    """
    request_id = next((each for each in offered if REQUEST_ID.fullmatch(each)), uuid.uuid4().hex)
    _request_id.set(request_id)
    structlog.contextvars.bind_contextvars(request_id=request_id)
    return request_id


def works_for(caller: Caller) -> None:
    """From now on this task works for `caller`."""
    _caller.set(caller)
