"""How many attempts are under way, by provider and by caller, as a metric."""

from collections import Counter
from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from imagegate.router.router import Router
from imagegate.runtime.metrics import OTHER


class Inflight(Collector):
    """Attempts under way. Who is not in the configuration any more is one caller with all the others of that kind."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._counts: Counter[tuple[str, str]] = Counter()

    def count(self, provider: str, caller: str, change: int) -> None:
        """One more, or one less, of `caller` at `provider`."""
        self._counts[provider, caller] += change

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """One series per provider and configured caller that was there; `caller` is empty where callers are not told
        apart.
        """
        callers = {"", *(self._router.config.callers if self._router.config else ())}
        told: Counter[tuple[str, str]] = Counter()
        for (provider, caller), number in list(self._counts.items()):
            told[provider, caller if caller in callers else OTHER] += number
            if caller not in callers and not number:
                del self._counts[provider, caller]
        family = GaugeMetricFamily("imagegate_inflight", "Attempts under way.", labels=["provider", "caller"])
        for labels, number in told.items():
            family.add_metric(list(labels), float(number))
        yield family
