"""What an upstream says of a model, asked without paying. Pure."""

from dataclasses import dataclass

from imagegate.runtime.errors import Failure


@dataclass(frozen=True, slots=True)
class Check:
    """The upstream's word on a model now. What is None was not asked, or the upstream does not tell.

    `message` says for people how it is, where nothing speaks against the model; `failure` is what does. `ready_in` is
    in seconds.
    """

    message: str = ""
    exists: bool | None = None
    loaded: bool | None = None
    ready_in: float | None = None
    key_accepted: bool | None = None
    failure: Failure | None = None
