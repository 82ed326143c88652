"""Our enums are those of the protos."""

from imagegate.router.breaker import State
from imagegate.runtime.errors import Dispatch, Reason
from imagegate.v1 import error_pb2, router_pb2


def test_reasons_and_dispatches_are_exactly_those_of_the_wire() -> None:
    """S3: the same word everywhere: on the wire, in logs and in metric labels."""
    reasons = {name.removeprefix("ERROR_REASON_") for name in error_pb2.ErrorReason.DESCRIPTOR.values_by_name}
    assert {str(reason) for reason in Reason} == reasons - {"UNSPECIFIED"}
    dispatches = {name.removeprefix("DISPATCH_") for name in error_pb2.Dispatch.DESCRIPTOR.values_by_name}
    assert {str(dispatch) for dispatch in Dispatch} == dispatches
    states = {name.removeprefix("BREAKER_STATE_") for name in router_pb2.BreakerState.DESCRIPTOR.values_by_name}
    assert {state.name for state in State} == states - {"UNSPECIFIED"}


def test_a_reason_that_this_version_does_not_know_is_internal() -> None:
    """A newer provider's reason is not guessed at."""
    assert Reason.from_proto(9999) is Reason.INTERNAL
    assert Reason.from_proto(Reason.TIMEOUT.to_proto()) is Reason.TIMEOUT
