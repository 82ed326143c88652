"""How much memory the requests under way take together. Pure."""

# A request that is no larger is let in whatever the others take: there are only so many calls.
SMALL_BYTES = 64 * 1024


class Intake:
    """Room for `room` bytes of requests. One at a time finds room however large it is."""

    def __init__(self, room: int) -> None:
        self._room = room
        self.taken = 0

    def __repr__(self) -> str:
        return f"<Intake {self.taken:,} of {self._room:,} bytes>"

    def take(self, size: int) -> bool:
        """Let `size` bytes in; False where there is no room for them, which changes nothing."""
        if self.taken and size > SMALL_BYTES and self.taken + size > self._room:
            return False
        self.taken += size
        return True

    def give_back(self, size: int) -> None:
        """So many bytes, which were let in, have gone."""
        self.taken -= size
