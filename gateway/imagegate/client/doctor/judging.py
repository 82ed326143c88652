"""What the router's answers say of one model. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from imagegate.client.doctor.row import WARMING, Made, Row, Trouble, Works
from imagegate.client.plain import bare_name
from imagegate.v1 import catalog_pb2, error_pb2, router_pb2

CIRCUIT_OPEN = "CIRCUIT_OPEN"
CREDENTIALS_REJECTED = "CREDENTIALS_REJECTED"
# What is wrong with an account is wrong with all its models.
OF_THE_ACCOUNT = frozenset({CREDENTIALS_REJECTED, "OUT_OF_CREDIT"})
REJECTED = "UPSTREAM_REJECTED_INPUT"
# What was sent was what the catalogue says that the model takes.
ENTRY_IS_WRONG = "the catalogue says otherwise of this model: correct its entry by an overlay (IMAGEGATE_MODELS)"
# The provider has no free question: an older one, or somebody else's.
NOT_OFFERED = "UNSUPPORTED"


@dataclass(frozen=True, slots=True)
class Learnt:
    """What was asked and answered. Models go by `provider/key`; `now` is in seconds since 1970.

    `listed` are the models of the catalogues, `others` the candidates of routes that no catalogue has. A check that
    could not be had at all is a Trouble.
    """

    providers: Mapping[str, catalog_pb2.Provider]
    listed: Mapping[str, catalog_pb2.Model]
    others: Mapping[str, str]
    status: router_pb2.RouterStatus
    checks: Mapping[str, catalog_pb2.ModelCheck | Trouble]
    now: float
    tried: Mapping[str, Made | Trouble] = field(default_factory=dict)

    def provider_of(self, name: str) -> str:
        """Whose model it is."""
        return self.listed[name].provider if name in self.listed else self.others[name]


def judge(name: str, learnt: Learnt) -> Row:
    """The model called `name`, whatever else could take its place.

    A picture outweighs what the upstream says for free, and that outweighs what the router remembers.
    """
    off = _off(name, learnt)
    if off is not None:
        return off
    tried = learnt.tried.get(name)
    if isinstance(tried, Made):
        return _delivered(name, tried)
    if tried is None or tried.reason == CIRCUIT_OPEN:  # it was not asked, for a reason that somebody else knows
        tried = _free_word(name, learnt) or _of_the_account(name, learnt) or _remembered(name, learnt) or tried
    return _as_told_for_free(name, learnt) if tried is None else _troubled(name, tried)


def is_worth_a_picture(name: str, learnt: Learnt) -> bool:
    """Whether only a picture tells more: the model is on, and the upstream's free word is not against it."""
    trouble = _free_word(name, learnt)
    return _off(name, learnt) is None and (trouble is None or trouble.passes)


def refused_key(name: str, learnt: Learnt) -> bool:
    """Whether the upstream refuses our key, as this model shows."""
    check, tried = learnt.checks.get(name), learnt.tried.get(name)
    if isinstance(tried, Trouble) and tried.reason == CREDENTIALS_REJECTED:
        return True
    if isinstance(check, catalog_pb2.ModelCheck):
        return check.HasField("key_accepted") and not check.key_accepted
    return False


def _off(name: str, learnt: Learnt) -> Row | None:
    provider, model = learnt.providers[learnt.provider_of(name)], learnt.listed.get(name)
    if not provider.enabled:
        return Row(name, Works.OFF, "off", f"{provider.name} is off", provider.disabled_reason)
    if model is not None and not model.enabled:
        return Row(name, Works.OFF, "coming soon" if model.coming_soon else "off", model.disabled_reason)
    for scope in _scopes(name, learnt):
        if scope.held_back and scope.HasField("override"):
            decided = scope.override
            remedy = f"imagegate breaker clear {'/'.join(filter(None, (decided.provider, decided.model)))}"
            return Row(name, Works.OFF, "held back", f"{decided.actor} decided so: {decided.reason}", remedy)
    return None


def _delivered(name: str, made: Made) -> Row:
    works = Works.WARNING if made.differences else Works.OK
    return Row(name, works, f"delivered in {made.seconds:.1f} s", made=made, notes=made.notes)


def _troubled(name: str, trouble: Trouble) -> Row:
    works = Works.WARNING if trouble.passes else Works.FAILED
    notes = (ENTRY_IS_WRONG,) if trouble.reason == REJECTED else ()
    return Row(name, works, _in_short(trouble), trouble.message, trouble.remedy, trouble, notes=notes)


def _in_short(trouble: Trouble) -> str:
    told = "warming" if trouble.reason in WARMING else trouble.reason
    told = f"{trouble.upstream_status} {told}" if trouble.upstream_status and not trouble.passes else told
    return f"{told}, ready in about {trouble.ready_in:.0f} s" if trouble.ready_in is not None else told


def _as_told_for_free(name: str, learnt: Learnt) -> Row:
    """The row of a model that nothing speaks against."""
    check = learnt.checks.get(name)
    if check is None or isinstance(check, Trouble) or check.reason:
        return Row(name, Works.NOT_ASKED, "cannot be asked for free", message=check.message if check else "")
    return Row(name, Works.OK, _how_it_is(check), message=check.message)


def _free_word(name: str, learnt: Learnt) -> Trouble | None:
    """What the upstream says against the model, asked for free."""
    check = learnt.checks.get(name)
    if check is None or isinstance(check, Trouble):
        return check if check is not None and check.reason != NOT_OFFERED else None
    ready_in = check.ready_in.ToNanoseconds() / 1e9 if check.HasField("ready_in") else None
    reason = bare_name(error_pb2.ErrorReason.DESCRIPTOR, check.reason)
    if not reason and ready_in:
        reason = "WARMING"
    if reason in ("", NOT_OFFERED):
        return None
    return Trouble(reason, check.message, check.remedy, check.upstream_status, check.upstream_message, ready_in)


def _of_the_account(name: str, learnt: Learnt) -> Trouble | None:
    """What the picture of another model has shown to be wrong with the account of both."""
    provider = learnt.provider_of(name)
    its_own = (tried for other, tried in learnt.tried.items() if learnt.provider_of(other) == provider)
    return next((each for each in its_own if isinstance(each, Trouble) and each.reason in OF_THE_ACCOUNT), None)


def _remembered(name: str, learnt: Learnt) -> Trouble | None:
    """What the router has seen itself, and holds against the model."""
    check = learnt.checks.get(name)
    accepted = isinstance(check, catalog_pb2.ModelCheck) and check.key_accepted
    for scope in _scopes(name, learnt):
        trouble = _held_back(scope, learnt.now)
        if trouble is not None and not (accepted and trouble.reason == CREDENTIALS_REJECTED):
            return trouble
        if isinstance(scope, router_pb2.ModelStatus) and scope.rejecting:
            message = "it rejects every input, so that the router asks it last"
            remedy = "compare what it is sent with what it takes: `imagegate requests --failed`"
            return Trouble(REJECTED, message, remedy, upstream_message=scope.rejecting)
    return None


def _held_back(scope: router_pb2.ProviderStatus | router_pb2.ModelStatus, now: float) -> Trouble | None:
    reason = bare_name(error_pb2.ErrorReason.DESCRIPTOR, scope.held_back)
    if not reason:
        return None
    wait = max(scope.until.ToNanoseconds() / 1e9 - now, 0.0) if scope.HasField("until") else None
    if reason != CIRCUIT_OPEN or not scope.HasField("last_error"):
        return Trouble(reason, "the router passes it over for now", ready_in=wait)
    last = scope.last_error
    return Trouble(
        bare_name(error_pb2.ErrorReason.DESCRIPTOR, last.reason),
        f"the router passes it over since it failed: {last.message}",
        "see `imagegate requests --failed`, and `imagegate why` for what to do",
        last.upstream_status,
        last.upstream_message,
    )


def _scopes(name: str, learnt: Learnt) -> list[router_pb2.ProviderStatus | router_pb2.ModelStatus]:
    """What the router knows of the model's provider, and of the model."""
    provider = learnt.provider_of(name)
    statuses = [status for status in learnt.status.providers if status.name == provider]
    key = name.removeprefix(f"{provider}/")
    return [*statuses, *(model for status in statuses for model in status.models if model.key == key)]


def _how_it_is(check: catalog_pb2.ModelCheck) -> str:
    if check.HasField("loaded"):
        return "warm" if check.loaded else "not loaded"
    if check.HasField("exists"):
        return "exists" if check.exists else "does not exist"
    return "key accepted" if check.key_accepted else "nothing speaks against it"
