"""How much memory the bodies of all calls under way may take together. Pure.

A body pays for what has come of it, so that who announces much and sends little takes nothing from others.
"""

from imagegate.edge.endpoint import JSON_BYTES, KIB, MIB

TOTAL = 36 * MIB
# Kept for those who send words only: pictures of others never stop them.
FOR_SMALL_BODIES = 1 * MIB
# Of one that was refused others may have so much before its memory is really free, or all that come at the same time
# would be refused for the sake of one.
LEAVING = 4 * MIB
# What a piece takes in memory besides its bytes, and a call besides its pieces: who sends bytes one by one, or on many
# connections, pays for that.
PIECE_BYTES = 64
CALL_BYTES = 16 * KIB


class Budget:
    """`total` bytes for all bodies together; `taken` of them are, and `leaving` beside them are about to be free."""

    def __init__(self, total: int = TOTAL) -> None:
        self.total = total
        self.taken = 0
        self.leaving = 0

    def has_room(self, held: int, more: int) -> bool:
        """Whether a body of which `held` bytes are here may have `more`."""
        reserve = 0 if held + more <= CALL_BYTES + JSON_BYTES else FOR_SMALL_BODIES
        taken = self.taken + max(self.leaving - LEAVING, 0)
        return taken + more <= self.total - reserve


class Share:
    """What one call has of the budget, from the first byte of its body until its handler has ended."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._taken = 0
        self._leaving = 0

    def take(self, size: int) -> bool:
        """Have a piece of `size` bytes more, if there is room for it; all of it is about to go otherwise."""
        cost = size + PIECE_BYTES + (0 if self._taken else CALL_BYTES)
        if not self._budget.has_room(self._taken, cost):
            self._move(-self._taken, self._taken)
            return False
        self._move(cost, 0)
        return True

    def give_back(self) -> None:
        """Everything is free again."""
        self._move(-self._taken, -self._leaving)

    def _move(self, taken: int, leaving: int) -> None:
        self._taken += taken
        self._leaving += leaving
        self._budget.taken += taken
        self._budget.leaving += leaving
