"""What an upstream's adapter implements, and how one of its models is found. Its gRPC face: see `service`."""

from typing import Protocol

from imagegate.runtime.check import Check
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.models import Catalogue, Model
from imagegate.runtime.nearest import nearest
from imagegate.runtime.order import Delivery, Order
from imagegate.runtime.redaction import clip


class Provider(Protocol):
    """The adapter to one upstream. It never retries a submission, never falls back, never sleeps
    on a Retry-After: it reports (raises Failure) and returns.
    """

    @property
    def catalogue(self) -> Catalogue:
        """What it offers now."""

    @property
    def catalogue_problem(self) -> str:
        """Why the catalogue is not as the operator wants it (`CatalogueSource.problem`); empty where it is."""

    @property
    def disabled_reason(self) -> str:
        """Why it cannot be used, naming the variable that switches it on; empty while it can."""

    @property
    def key_revision(self) -> str:
        """A random token, new whenever the process started or has read another key (`Secret.revision`)."""

    @property
    def key_variable(self) -> str:
        """The name of the variable that its key is set by; empty where it needs none."""

    @property
    def concurrency(self) -> int:
        """How many orders it works on at a time unless the operator sets another number."""

    async def refresh(self) -> None:
        """Bring the catalogue up to date: with the operator's overlay (`CatalogueSource.refresh`), and where the
        upstream decides what there is (a self-hosted engine's checkpoints). Takes at most 2 s and never raises.
        """

    async def check(self, model: Model) -> Check:
        """Ask the upstream, without paying, whether it serves `model` now and would take our key.

        May raise Failure where nothing else is known. It is cancelled after 5 s at the latest.
        """

    async def generate(self, order: Order) -> Delivery:
        """Make the pictures of `order`, or raise Failure.

        When cancelled (the caller left, or the order's deadline passed) it cancels upstream within
        a few seconds; it may still return a Delivery if the picture turned out to be finished.
        """

    async def close(self) -> None:
        """Give back connections. Called once, after the last `generate`."""


def model_called(name: str, catalogue: Catalogue) -> Model:
    """The model of any of its names, or of an upstream id outside the catalogue where those are taken.

    Raises Failure(MODEL_NOT_FOUND) with the nearest names, and with what would let such an id through.
    """
    model = catalogue.find(name)
    if model is not None:
        return model
    outside = catalogue.find_outside(name)
    if outside is not None and outside.enabled:
        return outside
    names = nearest(name, [model.key for model in catalogue.models])
    remedies = [f"one of {', '.join(names)}" if names else "", outside.disabled_reason if outside else ""]
    raise Failure(
        Reason.MODEL_NOT_FOUND,
        f"{catalogue.provider} has no model {clip(name, 128)!r}",
        remedy="; or ".join(filter(None, remedies)),
        dispatch=Dispatch.NOT_SENT,
    )


def why_off(provider: Provider, model: Model | None = None) -> Failure | None:
    """Why nothing is asked of the provider, or of `model`: it is switched off. None while it is on."""
    if provider.disabled_reason:
        why, remedy = f"{provider.catalogue.provider} is off", provider.disabled_reason
    elif model is not None and not model.enabled:
        why, remedy = f"{model.key} is off: {model.disabled_reason}", ""
    else:
        return None
    return Failure(Reason.DISABLED, why, remedy=remedy, dispatch=Dispatch.NOT_SENT)
