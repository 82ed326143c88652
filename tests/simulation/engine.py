"""Virtual time: what is to happen stands in a heap, and the clock jumps from one thing to the next."""

import heapq
from collections.abc import Callable


class Engine:
    """`now` is in seconds from the beginning; nothing ever sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = 0

    def __repr__(self) -> str:
        return f"<Engine at {self.now:.3f}s, {len(self._heap)} to come>"

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Do `action` at `when`, not before now; of two at the same time the one asked for first."""
        self._serial += 1
        heapq.heappush(self._heap, (max(when, self.now), self._serial, action))

    def run(self) -> None:
        """Let everything happen, also what the actions ask for on the way."""
        while self._heap:
            self.now, _, action = heapq.heappop(self._heap)
            action()
