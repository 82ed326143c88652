"""Whether a model that says it is being loaded really gets nearer. Pure; `now` is the monotonic clock."""

# Models were seen that stood at "20 s" or "1,809 s" for ever.
ESTIMATES_TO_GIVE_UP = 3
SECONDS_TO_GIVE_UP = 300.0
# Several callers hear the same estimate at the same moment: one that follows sooner says nothing new.
SECONDS_BETWEEN_ESTIMATES = 5.0


class Warming:
    """The estimates of one model."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._heard_at = 0.0
        self._estimate = 0.0
        self._standing_still = 0

    def __repr__(self) -> str:
        return f"<Warming since {self._since}>"

    def heard(self, estimate: float, now: float) -> bool:
        """The upstream says that it needs `estimate` more seconds; whether to stop believing it.

        An estimate whose end nobody came back for within five minutes is forgotten: it may have been loaded since.
        """
        if self._since is None or now - self._heard_at > self._estimate + SECONDS_TO_GIVE_UP:
            self._since, self._heard_at, self._estimate, self._standing_still = now, now, estimate, 1
        elif now - self._heard_at >= SECONDS_BETWEEN_ESTIMATES:
            self._standing_still = self._standing_still + 1 if estimate >= self._estimate else 1
            self._heard_at, self._estimate = now, estimate
        return self._standing_still >= ESTIMATES_TO_GIVE_UP or now - self._since >= SECONDS_TO_GIVE_UP

    def over(self) -> None:
        """It is ready, or something else happened."""
        self._since = None
