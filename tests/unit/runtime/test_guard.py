"""Who asks, and whether they may: by their certificate's names, or by a key."""

from collections.abc import Mapping, Sequence

import pytest
from google.rpc import code_pb2

from imagegate.runtime.access import Role
from imagegate.runtime.bearer import hashed, header_of, key_in, new_key
from imagegate.runtime.callers import ANONYMOUS, OPEN, Caller, Callers, told_of
from imagegate.runtime.errors import Failure, Reason
from imagegate.runtime.guard import Guard, check_access
from imagegate.runtime.wrong_keys import MAX_ADDRESSES, MOST, WINDOW_SECONDS, WrongKeys
from imagegate.testing import FakeClock

GENERATE = "imagegate.v1.GenerationService/Generate"
OVERRIDE = "imagegate.v1.RouterAdminService/OverrideBreaker"
HEALTH = "grpc.health.v1.Health/Check"
KEY, OPERATORS_KEY = "ig_web_EXAMPLE", "ig_olga_EXAMPLE"
WEB, OLGA = Caller("web", tier="pro", weight=4, max_inflight=32), Caller("olga", Role.OPERATOR)
EDGE = "spiffe://imagegate/edge"
KNOWN = Callers({EDGE: WEB, "web.svc": WEB}, {hashed(KEY): WEB, hashed(OPERATORS_KEY): OLGA})


class Context:
    """A call as gRPC shows it."""

    def __init__(
        self,
        key: str = "",
        names: Mapping[str, Sequence[bytes]] | None = None,
        peer: str = "ipv4:10.0.0.7:41234",
        headers: Sequence[str] = (),
    ) -> None:
        self._metadata = [("authorization", each) for each in (*((header_of(key),) if key else ()), *headers)]
        self._names = names or {}
        self._peer = peer

    def peer(self) -> str:
        return self._peer

    def auth_context(self) -> Mapping[str, Sequence[bytes]]:
        return self._names

    def invocation_metadata(self) -> list[tuple[str, str]]:
        return self._metadata


def admit(guard: Guard, method: str, context: Context) -> Caller:
    """Who calls, if they may."""
    caller = guard.caller(method, context)
    check_access(method, caller)
    return caller


def refused(guard: Guard, context: Context, method: str = GENERATE) -> Failure:
    """The failure of a call that is not let in."""
    with pytest.raises(Failure) as told:
        admit(guard, method, context)
    return told.value


def test_where_nobody_is_configured_everybody_may_do_everything() -> None:
    """Nothing changes for whoever names no callers."""
    guard = Guard(lambda: OPEN)
    assert admit(guard, OVERRIDE, Context()) is ANONYMOUS
    assert not guard.will_refuse(OVERRIDE, [])


@pytest.mark.parametrize(
    "context",
    [
        Context(KEY),
        Context(headers=[f"bearer  {KEY} "]),
        Context(names={"peer_uri": [EDGE.encode()]}),
        Context(names={"peer_dns": [b"other", b"web.svc"]}),
        Context(names={"x509_common_name": [b"web.svc"]}),
    ],
)
def test_a_caller_is_known_by_a_key_or_by_a_name_of_its_certificate(context: Context) -> None:
    """S13: SAN URI, SAN DNS, CN or a bearer key say who asks."""
    assert admit(Guard(lambda: KNOWN), GENERATE, context) is WEB


@pytest.mark.parametrize(
    "context",
    [
        Context(),
        Context("ig_revoked"),
        Context("ig_revoked", names={"peer_uri": [EDGE.encode()]}),
        Context("k" * 100_000),
        Context(names={"peer_dns": [b"stranger.svc"]}),
        Context(headers=[header_of(KEY), header_of(KEY)]),
        Context(headers=[f"Basic {KEY}"]),
        Context(headers=[KEY]),
    ],
)
def test_whoever_is_not_known_is_refused(context: Context) -> None:
    """S13: without a known key or name it is UNAUTHENTICATED; a wrong key is refused whatever the certificate."""
    guard = Guard(lambda: KNOWN)
    failure = refused(guard, context)
    assert (failure.reason, failure.code) == (Reason.UNAUTHENTICATED, code_pb2.UNAUTHENTICATED)


def test_a_key_is_never_repeated() -> None:
    """S21: "key X is invalid" would leak a real key that was mistyped."""
    failure = refused(Guard(lambda: KNOWN), Context("ig_almost_right"))
    assert "ig_almost" not in f"{failure} {failure!r}"


def test_a_role_that_is_not_enough_is_refused() -> None:
    """S14: a caller's key is not enough for what operators do; an operator's is enough for all."""
    guard = Guard(lambda: KNOWN)
    failure = refused(guard, Context(KEY), OVERRIDE)
    assert (failure.reason, failure.code) == (Reason.NOT_ALLOWED, code_pb2.PERMISSION_DENIED)
    assert admit(guard, OVERRIDE, Context(OPERATORS_KEY)) is OLGA
    assert admit(guard, GENERATE, Context(OPERATORS_KEY)) is OLGA


def test_a_method_without_a_row_is_refused_to_operators_too() -> None:
    """S13: default deny."""
    assert refused(Guard(lambda: KNOWN), Context(OPERATORS_KEY), "x.Y/Z").reason is Reason.NOT_ALLOWED


def test_health_is_for_anybody() -> None:
    """Probes have no key."""
    guard = Guard(lambda: KNOWN)
    assert admit(guard, HEALTH, Context()) is ANONYMOUS
    assert not guard.will_refuse(HEALTH, [])


def test_what_metadata_alone_can_tell_is_told_before_the_message_is_read() -> None:
    """A call that will be refused is known by its metadata, unless its certificate may save it."""
    web, wrong = [("authorization", header_of(KEY))], [("authorization", header_of("ig_revoked"))]
    for asks in (False, True):
        guard = Guard(lambda: KNOWN, asks_for_certificates=asks)
        assert not guard.will_refuse(GENERATE, web)
        assert guard.will_refuse(GENERATE, wrong)
        assert guard.will_refuse(GENERATE, []) is not asks


def test_an_address_with_too_many_wrong_keys_is_held_back_for_a_while() -> None:
    """S21: wrong keys are limited by address; a key that was right there before is not held back by others."""
    clock = FakeClock()
    guard = Guard(lambda: KNOWN, clock=clock)
    admit(guard, GENERATE, Context(KEY, peer="ipv4:10.0.0.7:1"))
    for port in range(MOST):
        assert refused(guard, Context("ig_wrong", peer=f"ipv4:10.0.0.7:{port}")).reason is Reason.UNAUTHENTICATED
    held = refused(guard, Context(OPERATORS_KEY))
    assert held.reason is Reason.RATE_LIMITED
    assert held.retry_after == WINDOW_SECONDS
    assert admit(guard, GENERATE, Context(KEY)) is WEB
    assert admit(guard, GENERATE, Context(OPERATORS_KEY, peer="ipv4:10.0.0.8:1")) is OLGA
    clock.advance(WINDOW_SECONDS)
    assert admit(guard, GENERATE, Context(OPERATORS_KEY)) is OLGA


def test_the_memory_of_wrong_keys_is_bounded() -> None:
    """However many addresses come with wrong keys, only the last ones are remembered."""
    wrong = WrongKeys()
    for number in range(MAX_ADDRESSES + 1):
        for _ in range(MOST):
            wrong.was_wrong(f"ipv4:{number}", 0.0)
    assert wrong.held_back("ipv4:0", "", 1.0) == 0
    assert wrong.held_back(f"ipv4:{MAX_ADDRESSES}", "", 1.0) == WINDOW_SECONDS - 1


def test_a_key_has_the_bits_that_make_a_plain_hash_enough() -> None:
    """S21: 256 random bits, and a prefix that scanners know."""
    key = new_key()
    assert key.startswith("ig_")
    assert len(key) == len("ig_") + 43
    assert key_in(header_of(key)) == key
    assert new_key() != key


@pytest.mark.parametrize(
    ("name", "weight", "caller"),
    [
        ("web", "4", Caller("web", weight=4)),
        ("web", "0.5", Caller("web", weight=0.5)),
        *[("web", nonsense, Caller("web")) for nonsense in ("", "0", "-1", "nan", "inf", "1e9", "much", "4\n5")],
        *[(nonsense, "4", None) for nonsense in ("", "Web", "../web", "w" * 65, "web\n", "a b")],
    ],
)
def test_who_asks_as_a_router_tells_it(name: str, weight: str, caller: Caller | None) -> None:
    """S32: a name that is none is nobody's, and a weight that is none is 1: what is told decides an order only."""
    assert told_of(name, weight) == caller
