"""What every shape offers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from imagegate.runtime.answer import Answer
from imagegate.runtime.errors import Failure
from imagegate.runtime.order import Order


@dataclass(frozen=True, slots=True)
class Output:
    """A finished picture: its bytes, or (None) the URL where it lies; the seed that makes it again, None where nobody
    knows it; and whether the upstream says that its safety check blanked it.
    """

    seed: int | None
    data: bytes | None = None
    url: str = ""
    filtered: bool = False


class Shape(Protocol):
    """How one inference provider is talked to; its modules are siblings. `model` is what it calls the model."""

    def url(self, router: str, model: str) -> str:
        """Where a picture is asked for; `router` is the router's address, without a slash at its end."""

    def headers(self, order: Order) -> Mapping[str, str]:
        """What goes along beside the key and the picture's type."""

    def fit(self, order: Order, model: str) -> None:
        """Bring the order to what this one takes, before anything is sent; what that changes is told.

        Raises Failure(UNSUPPORTED) where the request forbids such a change.
        """

    def to_payload(self, order: Order, index: int, model: str) -> dict[str, object]:
        """The request body for picture `index` of a fitted order: what the order holds, and nothing else."""

    def to_output(self, answer: Answer, order: Order, index: int) -> Output:
        """The picture of an answer of success.

        Raises Failure: what an error that came as a success says, or BAD_OUTPUT for anything else.
        """

    def to_error(self, answer: Answer, model: str) -> Failure:
        """What a refusal means; `model` is the model's id on the Hub."""
