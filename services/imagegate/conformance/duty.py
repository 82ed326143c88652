"""A duty, and the bench on which it is tried."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from imagegate.conformance import asking
from imagegate.conformance.body import Recording
from imagegate.conformance.face import Call, Face, Metadata
from imagegate.conformance.row import Finding
from imagegate.conformance.stand_in import StandIn
from imagegate.runtime.adjustments import Value
from imagegate.runtime.models import Catalogue, Model
from imagegate.v1 import generation_pb2


@dataclass(frozen=True, slots=True)
class Bench:
    """The provider under test, and what is known of it. `token` makes prompts and ids of this run unlike all others."""

    face: Face
    catalogue: Catalogue
    model: Model
    timeout: float
    token: str

    @property
    def provider(self) -> str:
        """Its name."""
        return self.catalogue.provider

    def request(
        self, what: str, name: str | None = None, fields: Mapping[str, Value] = MappingProxyType({})
    ) -> generation_pb2.GenerateRequest:
        """A small request of its own for the duty `what`, to the model called `name` (its own default model)."""
        asked = self.model.key if name is None else name
        model = self.catalogue.find(asked) or self.catalogue.find_outside(asked) or self.model
        request = asking.small(model, prompt=f"a lighthouse at dusk, {self.token} {what}", **fields)
        request.model = asked
        request.request_id = f"conformance-{self.token}-{what.replace('/', '-')}"
        return request

    def generate(
        self, request: generation_pb2.GenerateRequest, *, timeout: float | None = None, metadata: Metadata = ()
    ) -> Call:
        """Begin to ask for pictures."""
        return self.face.generate(request, timeout or self.timeout, metadata)


@dataclass(frozen=True, slots=True)
class Duty:
    """Something to keep: what is expected, and how it is found out."""

    id: str
    expected: str
    check: Callable[[Bench], Awaitable[Finding]]


@dataclass(frozen=True, slots=True)
class TroubledDuty:
    """A duty that needs the sandbox in the upstream's place, and to know how the upstream is talked to."""

    id: str
    expected: str
    check: Callable[[Bench, StandIn, Recording], Awaitable[Finding]]
