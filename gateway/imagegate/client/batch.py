"""Several requests at once: from mappings to a batch, and what became of each."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from imagegate.client.error import GenerationError, from_batch_failure, invalid
from imagegate.client.fields import check_inputs, to_order
from imagegate.client.result import Result
from imagegate.runtime.errors import Violation
from imagegate.v1 import generation_pb2, router_pb2

DEFAULT_CONCURRENCY = 4


@dataclass(frozen=True, slots=True)
class BatchItem:
    """What became of one request of a batch: its `result`, or the `error` that `generate` would have raised. `index` is
    its place in the batch, from 0.
    """

    index: int
    request_id: str
    result: Result | None = None
    error: GenerationError | None = None

    def to_dict(self) -> dict[str, Any]:
        """The item as plain values without the pictures' bytes: a line of `imagegate batch --json`."""
        shown: dict[str, Any] = {"index": self.index, "request_id": self.request_id}
        if self.error is not None:
            return shown | {"error": self.error.to_dict()}
        return shown | (self.result.to_dict() if self.result is not None else {})


def item_of(event: router_pb2.BatchEvent) -> BatchItem | None:
    """The item that came over the wire; None for a heartbeat, and for what this version does not know."""
    match event.WhichOneof("event"):
        case "response":
            return BatchItem(event.index, event.response.request_id, result=Result.of(event.response))
        case "failure":
            return BatchItem(event.index, event.failure.request_id, error=from_batch_failure(event.failure))
        case _:
            return None


def to_batch_request(requests: Iterable[Mapping[str, Any]], concurrency: int) -> router_pb2.GenerateBatchRequest:
    """The batch; each request gets an id and a key where it has none.

    Raises GenerationError (INVALID_REQUEST) with everything that is wrong with any of them.
    """
    orders: list[generation_pb2.GenerateRequest] = []
    wrong: list[Violation] = []
    for index, given in enumerate(requests):
        try:
            orders.append(_order(given))
        except (GenerationError, TypeError, OSError) as error:
            wrong += _violations(f"requests[{index}]", error)
    if wrong:
        raise invalid(*wrong)
    check_inputs("requests", *orders)
    try:
        return router_pb2.GenerateBatchRequest(requests=orders, concurrency=concurrency)
    except ValueError:
        raise invalid(Violation("concurrency", f"{concurrency} does not fit")) from None


def _order(given: object) -> generation_pb2.GenerateRequest:
    if not isinstance(given, Mapping):
        raise TypeError("is no mapping of fields such as prompt and model")
    fields = dict(given)
    return to_order(fields.pop("prompt", ""), fields.pop("model", ""), fields)


def _violations(place: str, error: GenerationError | TypeError | OSError) -> Iterator[Violation]:
    match error:
        case GenerationError():
            yield from (Violation(f"{place}.{each.field}", each.description) for each in error.violations)
        case OSError():
            yield Violation(place, f"{error.filename}: {error.strerror}")
        case TypeError():
            yield Violation(place, str(error))
