"""How it went in the last hour: what was counted every quarter of a minute, by provider and by model. Pure, bounded."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from imagegate.v1 import router_pb2

SAMPLE_SECONDS = 15.0
# An hour of them.
MAX_ROUNDS = 240
# In one round; of models only those of which there is something to tell, the busiest first.
MAX_ROWS = 64

# Replica, provider, model.
Place = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Count:
    """Attempts that delivered, and that failed."""

    ok: int = 0
    failed: int = 0

    def since(self, before: "Count") -> "Count":
        """What came on top; a replica that has restarted counts from 0."""
        if self.ok < before.ok or self.failed < before.failed:
            return self
        return Count(self.ok - before.ok, self.failed - before.failed)

    def __add__(self, other: "Count") -> "Count":
        return Count(self.ok + other.ok, self.failed + other.failed)


@dataclass(slots=True)
class _Row:
    count: Count = Count()
    rates: list[float] = field(default_factory=list)

    @property
    def says_something(self) -> bool:
        return bool(self.rates or self.count.ok or self.count.failed)

    def shown(self, at: str, provider: str, model: str) -> dict[str, Any]:
        rate = round(fmean(self.rates), 4) if self.rates else None
        counts = {"ok": self.count.ok, "failed": self.count.failed}
        return {"at": at, "provider": provider, "model": model, "failure_rate": rate, **counts}


class Samples:
    """Rounds of samples, numbered from 1. A row is of a provider, with an empty model, or of one of its models; its
    failure rate is the mean of the replicas that know one, null where none does.
    """

    def __init__(self) -> None:
        self._rounds: deque[tuple[int, Sequence[dict[str, Any]]]] = deque(maxlen=MAX_ROUNDS)
        self._counted: dict[Place, Count] = {}
        self.taken = 0

    def take(self, at: str, statuses: Mapping[str, router_pb2.RouterStatus | None]) -> None:
        """Count what happened since the last time. `statuses` are those of every replica; None of one that is away."""
        self._counted = {place: count for place, count in self._counted.items() if place[0] in statuses}
        rows: dict[tuple[str, str], _Row] = {}
        for replica, status in statuses.items():
            for provider in status.providers if status else ():
                self._add(replica, provider, rows)
        self.taken += 1
        self._rounds.append((self.taken, [row.shown(at, *key) for key, row in _most_telling(rows)]))

    def since(self, number: int = 0) -> list[dict[str, Any]]:
        """The rows of every round after this one that is still kept, the oldest first."""
        return [row for each, rows in self._rounds if each > number for row in rows]

    def _add(self, replica: str, provider: router_pb2.ProviderStatus, rows: dict[tuple[str, str], _Row]) -> None:
        whole = rows.setdefault((provider.name, ""), _Row())
        _note_rate(whole, provider)
        for model in provider.models:
            row = rows.setdefault((provider.name, model.key), _Row())
            _note_rate(row, model)
            place, now = (replica, provider.name, model.key), Count(model.succeeded, model.failed)
            new = now.since(self._counted.get(place, now))
            self._counted[place] = now
            row.count += new
            whole.count += new


def _note_rate(row: _Row, status: router_pb2.ProviderStatus | router_pb2.ModelStatus) -> None:
    if status.HasField("failure_rate"):
        row.rates.append(status.failure_rate)


def _most_telling(rows: Mapping[tuple[str, str], _Row]) -> Iterator[tuple[tuple[str, str], _Row]]:
    providers = [(key, row) for key, row in rows.items() if not key[1]]
    models = [(key, row) for key, row in rows.items() if key[1] and row.says_something]
    models.sort(key=lambda each: -(each[1].count.ok + each[1].count.failed))
    yield from [*providers, *models][:MAX_ROWS]
