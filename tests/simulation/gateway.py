"""What the simulator asks of a policy. A policy decides and remembers; it does nothing by itself."""

from dataclasses import dataclass
from typing import Protocol

from imagegate.runtime.errors import Failure
from simulation.traffic import Request


@dataclass(frozen=True, slots=True)
class Try:
    """Send the request to `candidate`, and give it `timeout` seconds."""

    candidate: str
    timeout: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Ask again in `seconds`; earlier, if a free check says that the model of `loading` is loaded."""

    seconds: float
    loading: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """Answer the caller: with the picture, or with the error."""

    delivered: bool


Step = Try | Wait | Ended


class Call(Protocol):
    """One request on its way through a policy."""

    def next(self, now: float) -> Step:
        """What to do now. Asked at first, after each report and after each wait."""

    def report(self, failure: Failure | None, now: float) -> None:
        """How the last `Try` ended: None where it delivered."""

    def loaded(self, now: float) -> None:
        """The free check says that the model which the last `Wait` was for is loaded."""

    def left(self, now: float) -> None:
        """The caller left: nothing is asked any more, and what is under way is cancelled."""


class Gateway(Protocol):
    """A policy with its memory."""

    def begin(self, request: Request, now: float) -> Call:
        """A caller arrived."""

    def key_accepted(self, candidate: str, now: float) -> None:
        """A free check once a minute: the candidate takes our key."""
