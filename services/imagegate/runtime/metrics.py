"""The metric names of every process, and of providers. Labels come from closed sets only."""

import asyncio
import math
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from importlib.metadata import version
from typing import Protocol

from prometheus_client import Counter, Gauge, Histogram, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from imagegate.runtime.errors import Reason
from imagegate.runtime.options import OPTIONS_FIELD
from imagegate.runtime.order import Delivery, Order
from imagegate.runtime.registry import Registry
from imagegate.v1 import generation_pb2

# Pictures take from milliseconds (a refusal) to minutes.
DURATION_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 8, 12, 20, 30, 45, 60, 90, 120, 180, 300, 600)
OTHER = "_other"


class TlsState(Protocol):
    """What is shown of certificates."""

    @property
    def is_current(self) -> bool:
        """Whether what is in use is what the files hold."""

    @property
    def expires(self) -> float | None:
        """When the own certificate does, in seconds since 1970."""


class TrafficState(Protocol):
    """What is shown of the calls under way, in number and bytes."""

    @property
    def in_short(self) -> Mapping[str, tuple[float, float]]:
        """What is counted -> how much of it there is now, and may be."""


class ProcessMetrics:
    """What every process counts: its calls."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._requests = Counter(
            "imagegate_requests",
            "Calls answered: gRPC methods by gRPC codes, and on the edge routes by HTTP statuses.",
            ["method", "code"],
            registry=registry,
        )
        self._durations = Histogram(
            "imagegate_request_duration_seconds",
            "Time to answer a call.",
            ["method"],
            buckets=DURATION_BUCKETS,
            registry=registry,
        )
        # To look a series up takes longer than to count; there are as many as the closed sets allow.
        self._requests_of = cache(self._requests.labels)
        self._durations_of = cache(self._durations.labels)
        self._tls_current = Gauge(
            "imagegate_tls_last_reload_ok",
            "1 where certificate, key and authorities in use are those of their files.",
            ["side"],
            registry=registry.live,
        )
        self._tls_expires = Gauge(
            "imagegate_tls_certificate_expiry_timestamp_seconds",
            "When the own certificate expires.",
            ["side"],
            registry=registry.live,
        )
        self._used = Gauge(
            "imagegate_limit_used", "How much of a limit on callers is used now.", ["limit"], registry=registry.live
        )
        self._limits = Gauge("imagegate_limit", "Limits on callers, in number and bytes.", ["limit"], registry=registry)
        self._tasks = Gauge("imagegate_tasks", "Tasks of the event loop that have not ended.", registry=registry.live)
        build = Gauge("imagegate_build_info", "The version that runs.", ["version"], registry=registry)
        build.labels(version("imagegate")).set(1)

    def watch_tasks(self, loop: asyncio.AbstractEventLoop) -> None:
        """Show whenever somebody looks how many tasks the loop has."""
        self._tasks.set_function(lambda: len(asyncio.all_tasks(loop)))

    def watch_tls(self, side: str, files: TlsState) -> None:
        """Show whenever somebody looks whether certificates are those of their files, and when ours expires; `side` is
        server or client.
        """
        self._tls_current.labels(side).set_function(lambda: files.is_current)
        self._tls_expires.labels(side).set_function(lambda: files.expires or math.nan)

    def watch_traffic(self, traffic: TrafficState) -> None:
        """Show whenever somebody looks how much of each limit is used."""
        for what in traffic.in_short:
            self._used.labels(what).set_function(partial(_used, traffic, what))
            self._limits.labels(what).set(traffic.in_short[what][1])

    def answered(self, method: str, code: str, seconds: float) -> None:
        """A call of `method`, or of a route, ended with the gRPC code or HTTP status `code` (from closed sets)."""
        self._requests_of(method, code).inc()
        self._durations_of(method).observe(seconds)


class ProviderMetrics:
    """What a provider counts besides."""

    def __init__(self, registry: Registry, provider: str, models: tuple[str, ...]) -> None:
        self._registry = registry
        self._provider = provider
        self._models = frozenset(models)
        self._adjustments = Counter(
            "imagegate_adjustments",
            "Parameters sent differently from what was asked.",
            ["provider", "parameter", "action"],
            registry=registry,
        )
        self._images = Counter(
            "imagegate_images",
            "Pictures delivered (ok), or orders that brought none (the reason).",
            ["provider", "model", "result"],
            registry=registry,
        )
        self._phases = Histogram(
            "imagegate_upstream_phase_seconds",
            "Time spent in a phase of the upstream's conversation.",
            ["provider", "phase"],
            buckets=DURATION_BUCKETS,
            registry=registry,
        )
        quota_labels = ["provider", "window"]
        self._quota_used = Gauge(
            "imagegate_quota_used", "Requests used in the window.", quota_labels, registry=registry.live
        )
        self._quota_limit = Gauge("imagegate_quota_limit", "Requests allowed in it.", quota_labels, registry=registry)

    def delivered(self, order: Order, delivery: Delivery) -> None:
        """An order was delivered."""
        for phase in ("queue", "run", "download"):
            seconds = getattr(delivery, f"{phase}_seconds")
            if seconds is not None:
                self._phases.labels(self._provider, phase).observe(seconds)
        for adjustment in order.adjustments:
            action = generation_pb2.Action.Name(adjustment.action).removeprefix("ACTION_").lower()
            self._adjustments.labels(self._provider, _parameter(adjustment), action).inc()

    def attempted(self, order: Order | None, pictures: int, reason: Reason | None) -> None:
        """An order ended: with `pictures`, or for `reason`."""
        model = order.model.key if order is not None and order.model.key in self._models else OTHER
        result = "ok" if reason is None else reason.lower()
        self._images.labels(self._provider, model, result).inc(pictures or 1)

    def watch_quota(self, left: Callable[[], int], limit: int) -> None:
        """Show the daily quota as it stands whenever somebody looks."""
        self._quota_used.labels(self._provider, "day").set_function(lambda: limit - left())
        self._quota_limit.labels(self._provider, "day").set(limit)

    def watch_catalogue(self, revision: Callable[[], str], is_as_wanted: Callable[[], bool]) -> None:
        """Show which catalogue is in force, and whether it is the one that the operator wants, whenever somebody
        looks.
        """
        watch_in_force(self._registry, "models", revision, is_as_wanted)


def _used(traffic: TrafficState, what: str) -> float:
    return traffic.in_short[what][0]


def watch_in_force(
    registry: Registry, what: str, revision: Callable[[], str], is_as_wanted: Callable[[], bool]
) -> None:
    """Show which of `what` (models, keys) are in force, and whether they are those that the operator wants, whenever
    somebody looks.
    """
    gauge = Gauge(
        "imagegate_config_last_reload_ok", f"1 where the last reading of the {what} succeeded.", registry=registry.live
    )
    gauge.set_function(is_as_wanted)
    registry.live.register(_InForce(f"The {what} in force, by their revision.", revision))


class _InForce(Collector):
    """What is in force at the time of scraping, by its revision."""

    def __init__(self, told: str, revision: Callable[[], str]) -> None:
        self._told = told
        self._revision = revision

    def collect(self) -> Iterator[Metric]:
        """One sample."""
        info = GaugeMetricFamily("imagegate_config_info", self._told, labels=["hash"])
        info.add_metric([self._revision()], 1)
        yield info


def _parameter(adjustment: generation_pb2.Adjustment) -> str:
    """The name of what was adjusted as a label: of an option only that it is one, since callers make up their names."""
    return OPTIONS_FIELD if adjustment.parameter.startswith(f"{OPTIONS_FIELD}.") else adjustment.parameter
