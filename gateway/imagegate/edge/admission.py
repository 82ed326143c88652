"""How much one may ask: so often in a minute, so many pictures at a time, and not with one wrong key after another.

Everything is in this process's memory and bounded. Pure: the clock is an argument.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, ip_address

from imagegate.edge.caller import Caller
from imagegate.edge.endpoint import Endpoint
from imagegate.edge.problem import MAX_RETRY_AFTER, Problem
from imagegate.edge.settings import EdgeSettings
from imagegate.runtime.errors import Failure
from imagegate.runtime.rate import Rate
from imagegate.runtime.validation import RANGES

MAX_NAMES = 10_000
# A third of a minute's worth may come at once: a page asks for several things when it opens, a batch begins with all.
BURSTS_PER_MINUTE = 3
WRONG_KEYS_PER_MINUTE = 20
MOST_PICTURES = int(RANGES["count"][1])


class Rates:
    """A rate for each of many names. Beyond MAX_NAMES the one that was not heard of for longest is forgotten."""

    def __init__(self, per_minute: float, burst: float, clock: Callable[[], float]) -> None:
        self.per_minute = per_minute
        self._burst = burst
        self._clock = clock
        self._by_name: OrderedDict[str, Rate] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_name)

    def take(self, name: str) -> None:
        """Take one. Raises Failure, with the time until there is one, where there is none."""
        self._of(name).take(self._clock(), patience=0.0)

    def owe(self, name: str, count: int) -> None:
        """Take `count` that are used already, even if there are none: the next ones come later for it."""
        self._of(name).take(self._clock(), patience=None, count=count)

    def _of(self, name: str) -> Rate:
        rate = self._by_name.setdefault(name, Rate(self.per_minute / 60, self._burst))
        self._by_name.move_to_end(name)
        if len(self._by_name) > MAX_NAMES:
            self._by_name.popitem(last=False)
        return rate


class Admission:
    """Counts what each user and each address does."""

    def __init__(self, settings: EdgeSettings, clock: Callable[[], float]) -> None:
        self._at_a_time = settings.generations_at_a_time
        self._requests = _per_minute(settings.requests_per_minute, clock)
        self._generations = _per_minute(settings.generations_per_minute, clock)
        self._wrong_keys = Rates(WRONG_KEYS_PER_MINUTE, WRONG_KEYS_PER_MINUTE, clock)
        self._under_way: dict[str, int] = {}

    @contextmanager
    def admitted(self, caller: Caller, endpoint: Endpoint) -> Iterator[None]:
        """Be one of those under way. Raises Problem (429) where it is too much for this user."""
        self._take(self._requests, caller.user, "requests")
        if not endpoint.generates:
            yield
            return
        self._check_under_way(caller.user)
        self._take(self._generations, caller.user, "pictures")
        self._under_way[caller.user] = self._under_way.get(caller.user, 0) + 1
        try:
            yield
        finally:
            self._under_way[caller.user] -= 1
            if not self._under_way[caller.user]:
                del self._under_way[caller.user]

    def weigh(self, user: str, pictures: int) -> None:
        """Count the pictures that a generation asks for beyond the one that it was admitted with.

        Only its body says how many these are. They never stop it: who has used up more than there was waits longer
        the next time.
        """
        beyond = min(pictures, MOST_PICTURES) - 1
        if beyond > 0:
            self._generations.owe(user, beyond)

    def wrong_key(self, address: str) -> None:
        """An address has come with a wrong key. Raises Problem (429) where it has done so too often.

        A right key from there is none of this: behind one address there may be many people.
        """
        try:
            self._wrong_keys.take(network_of(address))
        except Failure as failure:
            raise _too_often("too many wrong keys came from this address", failure) from None

    def _check_under_way(self, user: str) -> None:
        under_way = self._under_way.get(user, 0)
        if under_way >= self._at_a_time:
            told = f"{under_way} of your generations are under way already, and no more are made at a time"
            raise Problem(429, "RATE_LIMITED", told, retry_after=1)

    def _take(self, rates: Rates, user: str, what: str) -> None:
        try:
            rates.take(user)
        except Failure as failure:
            raise _too_often(f"your {rates.per_minute:g} {what} a minute are used up", failure) from None


def network_of(address: str) -> str:
    """What counts as one address: of IPv6 its /64, which one customer has for their own."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, IPv4Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or parsed.exploded[:19])


def _per_minute(count: float, clock: Callable[[], float]) -> Rates:
    return Rates(count, count / BURSTS_PER_MINUTE, clock)


def _too_often(told: str, failure: Failure) -> Problem:
    seconds = min(max(math.ceil(failure.retry_after or 0.0), 1), MAX_RETRY_AFTER)
    return Problem(429, "RATE_LIMITED", f"{told}; there is room again in {seconds} s", retry_after=seconds)
