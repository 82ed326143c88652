"""How often one address may come with a wrong key. Pure."""

from collections import OrderedDict
from dataclasses import dataclass

MOST = 20  # wrong keys of one address
WINDOW_SECONDS = 60.0
MAX_ADDRESSES = 10_000
MAX_WELCOME = 10_000


@dataclass(slots=True)
class _Count:
    began: float
    wrong: int = 0


class WrongKeys:
    """Counts wrong keys by address. Whose key was right at an address is not held back by others there: behind a
    proxy everybody has the same one. Both memories are bounded, the oldest goes first.
    """

    def __init__(self) -> None:
        self._counts: OrderedDict[str, _Count] = OrderedDict()
        self._welcome: OrderedDict[tuple[str, str], None] = OrderedDict()

    def held_back(self, address: str, key_hash: str, now: float) -> float:
        """The seconds for which this key is not even looked at; 0 where it is. `now` is monotonic."""
        count = self._counts.get(address)
        if count is None or count.wrong < MOST or (address, key_hash) in self._welcome:
            return 0.0
        return max(count.began + WINDOW_SECONDS - now, 0.0)

    def was_right(self, address: str, key_hash: str) -> None:
        """A key was somebody's."""
        self._welcome[address, key_hash] = None
        self._welcome.move_to_end((address, key_hash))
        if len(self._welcome) > MAX_WELCOME:
            self._welcome.popitem(last=False)

    def was_wrong(self, address: str, now: float) -> None:
        """A key was nobody's."""
        count = self._counts.get(address)
        if count is None or now >= count.began + WINDOW_SECONDS:
            count = self._counts[address] = _Count(now)
            self._counts.move_to_end(address)
        count.wrong += 1
        if len(self._counts) > MAX_ADDRESSES:
            self._counts.popitem(last=False)
