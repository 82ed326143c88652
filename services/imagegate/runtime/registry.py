"""The metrics of one process, and which of them any thread may read."""

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector


class Registry(CollectorRegistry):
    """Made once per process and passed on; nothing registers itself globally.

    What is counted belongs here: prometheus_client has a lock for it, so that any thread may read it. What is looked
    up in the state of the process whenever somebody looks belongs into `live`: that state has no lock, so only the
    event loop reads it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live = CollectorRegistry()

    def collect(self) -> Iterable[Metric]:
        """Everything, as it is now. On the event loop only; a thread reads a `snapshot`."""
        yield from super().collect()
        yield from self.live.collect()

    def snapshot(self) -> Collector:
        """Everything, for a thread: what is live as it is now, what is counted as it is when the thread reads it."""
        return _Snapshot(super().collect, tuple(self.live.collect()))


class _Snapshot(Collector):
    """The metrics that were `live`, and those that are `counted`."""

    def __init__(self, counted: Callable[[], Iterable[Metric]], live: Iterable[Metric]) -> None:
        self._counted = counted
        self._live = live

    def collect(self) -> Iterable[Metric]:
        """Both, the counted ones as they are now."""
        yield from self._counted()
        yield from self._live
