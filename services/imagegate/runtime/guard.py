"""At the door of a gRPC server: who asks, and whether they may."""

from collections.abc import Callable, Iterable
from time import monotonic
from typing import Any, Protocol

from google.rpc import code_pb2

from imagegate.runtime.access import Access, access_to
from imagegate.runtime.bearer import hashed, key_in
from imagegate.runtime.callers import ANONYMOUS, Caller, Callers, Shown
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.runtime.metadata import AUTHORIZATION
from imagegate.runtime.wrong_keys import WrongKeys

Metadata = Iterable[tuple[str, str | bytes]]
# Names that a verified certificate gives, the most telling first.
IDENTITIES = ("peer_uri", "peer_dns", "x509_common_name")


class Peer(Protocol):
    """As much of a gRPC context as tells who calls."""

    def peer(self) -> str:
        """The address, as gRPC writes it."""

    def auth_context(self) -> Any:
        """What the handshake has shown."""

    def invocation_metadata(self) -> Any:
        """What came with the call."""


class Guard:
    """Lets calls in. `callers` are those who are known just now; `asks_for_certificates` says whether the server does;
    `clock` is monotonic, in seconds.
    """

    def __init__(
        self,
        callers: Callable[[], Callers],
        *,
        asks_for_certificates: bool = False,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._callers = callers
        self._asks_for_certificates = asks_for_certificates
        self._clock = clock
        self._wrong_keys = WrongKeys()

    def will_refuse(self, method: str, metadata: Metadata) -> bool:
        """Whether nobody who is known calls `method`, as far as the metadata alone can tell."""
        callers = self._callers()
        if callers.is_open or access_to(method) is Access.ANYBODY:
            return False
        key = key_in(_authorization(metadata))
        return callers.with_key(key) is None if key else not self._asks_for_certificates

    def caller(self, method: str, context: Peer) -> Caller:
        """Who calls `method` (`package.Service/Method`); ANONYMOUS where that does not matter.

        Raises Failure: UNAUTHENTICATED where that is nobody who is known, RATE_LIMITED where too many wrong keys came
        from there.
        """
        callers = self._callers()
        if callers.is_open or access_to(method) is Access.ANYBODY:
            return ANONYMOUS
        return self._known(callers, shown_by(context))

    def _known(self, callers: Callers, shown: Shown) -> Caller:
        """Who shows this. A key says more than the certificate of a proxy, so a wrong one is refused whatever else."""
        caller = self._with_key(callers, shown) if shown.key else callers.with_identity(shown.identities)
        if caller is None:
            raise _nobody(shown)
        return caller

    def _with_key(self, callers: Callers, shown: Shown) -> Caller | None:
        key_hash = hashed(shown.key)
        seconds = self._wrong_keys.held_back(shown.address, key_hash, self._clock())
        if seconds:
            raise Failure(
                Reason.RATE_LIMITED,
                "too many wrong keys came from this address",
                retry_after=seconds,
                dispatch=Dispatch.NOT_SENT,
            )
        caller = callers.with_key(shown.key)
        if caller is None:
            self._wrong_keys.was_wrong(shown.address, self._clock())
        else:
            self._wrong_keys.was_right(shown.address, key_hash)
        return caller


def check_access(method: str, caller: Caller) -> None:
    """Raises Failure(NOT_ALLOWED), as PERMISSION_DENIED, where this caller may not call `method`."""
    access = access_to(method)
    if caller is not ANONYMOUS and not access.admits(caller.role):
        who = "nobody" if access is Access.NOBODY else f"an {access}"
        raise Failure(
            Reason.NOT_ALLOWED,
            f"{method} is for {who}, and {caller.name} is a {caller.role}",
            dispatch=Dispatch.NOT_SENT,
            code=code_pb2.PERMISSION_DENIED,
        )


def shown_by(context: Peer) -> Shown:
    """What a call shows of its caller."""
    found = context.auth_context() or {}
    identities = [name.decode(errors="replace") for kind in IDENTITIES for name in found.get(kind, ())]
    return Shown(identities, key_in(_authorization(context.invocation_metadata() or ())), _address(context.peer()))


def _authorization(metadata: Metadata) -> str:
    """The header's value; where it came more than once it says nothing that can be relied on."""
    values = [str(value) for key, value in metadata if key == AUTHORIZATION]
    return values[0] if len(values) == 1 else ""


def _address(peer: str) -> str:
    """The address without its port: `ipv4:10.0.0.7` of `ipv4:10.0.0.7:41234`."""
    return peer.rpartition(":")[0] if peer.startswith("ip") else peer


def _nobody(shown: Shown) -> Failure:
    """The refusal; it repeats nothing of what was shown."""
    if shown.key:
        told = "this key is not known here"
    elif shown.identities:
        told = "this certificate's names are not known here"
    else:
        told = "a key or a certificate is needed"
    return Failure(
        Reason.UNAUTHENTICATED,
        told,
        remedy="send `authorization: Bearer KEY` (IMAGEGATE_TOKEN), or show a certificate that `callers` names",
        dispatch=Dispatch.NOT_SENT,
    )
