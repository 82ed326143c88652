"""What everything that was learnt amounts to."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from imagegate.client.doctor.diagnosis import Diagnosis, diagnose
from imagegate.client.doctor.judging import Learnt, is_worth_a_picture
from imagegate.client.doctor.row import Made, Row, Trouble
from imagegate.v1 import catalog_pb2, error_pb2, router_pb2

NOW = 1_800_000_000.0
WELL = catalog_pb2.ModelCheck(exists=True, loaded=True, key_accepted=True)
REFUSED = catalog_pb2.ModelCheck(
    reason=error_pb2.ERROR_REASON_CREDENTIALS_REJECTED, message="refused", remedy="get a key", key_accepted=False
)
GONE = catalog_pb2.ModelCheck(reason=error_pb2.ERROR_REASON_MODEL_NOT_FOUND, message="gone", upstream_status=404)
MADE = Made("image/png", 5, "a.png", 3, 1.25)


def learnt(
    checks: Mapping[str, Any],
    routes: Mapping[str, Sequence[str]] | None = None,
    tried: Mapping[str, Made | Trouble] | None = None,
    models: Mapping[str, Mapping[str, Any]] | None = None,
    states: Sequence[router_pb2.ProviderStatus] = (),
    **provider: Any,
) -> Learnt:
    """Providers fal and hf, on and with keys; every model of `checks` or `models` is listed, unless a ":" is in it."""
    told = {"enabled": True, "key_variable": "THE_KEY", "catalogue_revision": "1"} | provider
    names = [*checks, *(models or {})]
    special = models or {}
    return Learnt(
        providers={name: catalog_pb2.Provider(name=name, **told) for name in ("fal", "hf")},
        listed={
            name: catalog_pb2.Model(provider=name.partition("/")[0], **{"enabled": True, **special.get(name, {})})
            for name in names
            if ":" not in name
        },
        others={name: name.partition("/")[0] for name in names if ":" in name},
        status=router_pb2.RouterStatus(
            providers=states or [router_pb2.ProviderStatus(name=name, reachable=True) for name in ("fal", "hf")],
            routes=[router_pb2.RouteStatus(name=name, candidates=of) for name, of in (routes or {}).items()],
        ),
        checks=checks,
        now=NOW,
        tried=tried or {},
    )


def row(diagnosis: Diagnosis, model: str) -> Row:
    return next(row for row in diagnosis.models if row.model == model)


@pytest.mark.parametrize(
    ("check", "status"),
    [
        (WELL, "warm"),
        (catalog_pb2.ModelCheck(exists=True, loaded=False), "not loaded"),
        (catalog_pb2.ModelCheck(exists=True), "exists"),
        (catalog_pb2.ModelCheck(key_accepted=True), "key accepted"),
        (catalog_pb2.ModelCheck(), "nothing speaks against it"),
    ],
)
def test_a_model_that_nothing_speaks_against(check: catalog_pb2.ModelCheck, status: str) -> None:
    """R12: it works as far as anybody tells for free, and the status says how far that is."""
    (only,) = diagnose(learnt({"fal/a": check})).models
    assert (str(only.works), only.status, only.failed) == ("ok", status, False)


def test_what_a_fallback_covers_is_a_warning() -> None:
    """R12: a failed model is a warning where each of its routes has another that works, and says who that is."""
    checks = {"fal/a": GONE, "fal/b": WELL, "fal/c": GONE}
    both = diagnose(learnt(checks, {"one": ["fal/a", "fal/b"], "two": ["fal/b", "fal/a"]}))
    assert str(row(both, "fal/a").works) == "warning"
    assert row(both, "fal/a").notes == ("covered by fal/b",)
    assert row(both, "fal/a").status == "404 MODEL_NOT_FOUND"
    assert str(row(both, "fal/c").works) == "failed"  # nobody stands in for it
    one = diagnose(learnt(checks, {"one": ["fal/a", "fal/b"], "two": ["fal/a", "fal/c"]}))
    assert str(row(one, "fal/a").works) == "failed"


@pytest.mark.parametrize(
    ("routes", "code", "strict"),
    [
        ({"one": ["fal/b"]}, 0, 1),
        ({"one": ["fal/a", "fal/b"]}, 0, 1),
        ({"one": ["fal/a"]}, 1, 1),
        ({"one": ["fal/b"], "two": ["fal/a", "hf/off"]}, 1, 1),
        ({"one": ["fal/nobody"]}, 1, 1),
        ({"one": ["hf/off"], "default": ["fal/b"]}, 0, 1),
        ({"one": ["fal/b"], "default": ["hf/off"]}, 1, 1),
        ({"one": ["hf/off", "fal/nobody"]}, 1, 1),
    ],
)
def test_the_exit_code(routes: Mapping[str, Sequence[str]], code: int, strict: int) -> None:
    """R12: 1 where a route has no candidate that works, with --strict on any failure, covered or not. What is off is no
    failure: a route of which nobody is switched on counts where it is the default.
    """
    off = {"hf/off": {"enabled": False, "disabled_reason": "needs a dedicated endpoint"}}
    diagnosis = diagnose(learnt({"fal/a": GONE, "fal/b": WELL}, routes, models=off))
    assert (diagnosis.exit_code(strict=False), diagnosis.exit_code(strict=True)) == (code, strict)


def test_what_is_off_is_no_failure() -> None:
    """R10, R12: a model that is off says why, one that is to come what must happen first; --strict minds neither."""
    models = {
        "fal/off": {"enabled": False, "disabled_reason": "needs a dedicated endpoint"},
        "fal/soon": {"enabled": False, "coming_soon": True, "disabled_reason": "nobody serves it yet"},
    }
    diagnosis = diagnose(learnt({"fal/a": WELL}, {"default": ["fal/off", "fal/a"]}, models=models))
    off, soon = row(diagnosis, "fal/off"), row(diagnosis, "fal/soon")
    assert (str(off.works), off.status, off.message) == ("off", "off", "needs a dedicated endpoint")
    assert (str(soon.works), soon.status, soon.message) == ("off", "coming soon", "nobody serves it yet")
    assert diagnosis.routes[0].working == ["fal/a"]
    assert diagnosis.exit_code(strict=True) == 0


@pytest.mark.parametrize(
    ("provider", "check", "key"),
    [
        ({}, WELL, "set (THE_KEY)"),
        ({}, REFUSED, "refused (THE_KEY)"),
        ({"enabled": False, "disabled_reason": "set THE_KEY: get one there"}, WELL, "not set (THE_KEY)"),
        ({"enabled": False, "disabled_reason": "switched off by OTHER=false"}, WELL, "not asked (THE_KEY)"),
        ({"key_variable": ""}, WELL, "needs none"),
        ({"key_variable": ""}, REFUSED, "refused"),
        ({"key_variable": "", "catalogue_revision": ""}, WELL, "not known"),
    ],
)
def test_a_key_is_shown_by_its_variable(provider: Mapping[str, Any], check: catalog_pb2.ModelCheck, key: str) -> None:
    """R12, R14: whether it is set and taken, and the name of its variable."""
    assert diagnose(learnt({"fal/a": check}, **provider)).providers[0].key == key


def test_a_picture_outweighs_the_free_word() -> None:
    """R12: what was really made, or refused, is what counts; a difference from the catalogue is a warning."""
    trouble = Trouble("MODEL_ACCESS_DENIED", "no", "use another key", 400, "requires PRO")
    differs = Made("image/png", 5, "b.png", 3, 1.0, differences=("asked for 256 × 256, it made 512 × 512",))
    tried = {"fal/a": MADE, "fal/b": trouble, "fal/c": differs}
    diagnosis = diagnose(learnt(dict.fromkeys(tried, WELL), {"r": list(tried)}, tried))
    assert [str(each.works) for each in diagnosis.models] == ["ok", "warning", "warning"]
    assert row(diagnosis, "fal/a").status == "delivered in 1.2 s"
    assert row(diagnosis, "fal/b").remedy == "use another key"
    assert diagnosis.routes[0].working == ["fal/a", "fal/c"]
    assert [each.failed for each in diagnosis.models] == [False, True, False]
    shown = row(diagnosis, "fal/a").to_dict()
    assert {name: shown[name] for name in ("content_type", "bytes", "file", "cost")} == {
        "content_type": "image/png",
        "bytes": 5,
        "file": "a.png",
        "cost": 3,
    }
    assert row(diagnosis, "fal/b").to_dict()["upstream_message"] == "requires PRO"


@pytest.mark.parametrize("reason", ["OUT_OF_CREDIT", "CREDENTIALS_REJECTED"])
def test_what_is_wrong_with_an_account_is_wrong_with_all_its_models(reason: str) -> None:
    """R12: one picture is enough to know it, also for those that were then passed over; other providers stand."""
    tried = {"fal/a": Trouble(reason, "no", "buy some"), "fal/b": Trouble("CIRCUIT_OPEN", "passed over")}
    checks = dict.fromkeys(("fal/a", "fal/b", "fal/c", "hf/a"), WELL)
    diagnosis = diagnose(learnt(checks, tried=tried))
    reasons = {each.model: each.trouble.reason if each.trouble else "" for each in diagnosis.models}
    assert reasons == {"fal/a": reason, "fal/b": reason, "fal/c": reason, "hf/a": ""}
    assert row(diagnosis, "fal/c").remedy == "buy some"
    keys = [provider.key for provider in diagnosis.providers]
    assert keys[0].startswith("refused" if reason == "CREDENTIALS_REJECTED" else "set")
    assert keys[1] == "set (THE_KEY)"


@pytest.mark.parametrize("reason", ["MODEL_LOADING", "RATE_LIMITED", "BUSY"])
def test_what_passes_by_itself_is_no_failure(reason: str) -> None:
    """R8, R12: a cold model, or one that asks to wait, is a warning with the time that takes, and its route works."""
    tried = {"fal/a": Trouble(reason, "not yet", "wait", 503, ready_in=12.4)}
    diagnosis = diagnose(learnt({"fal/a": WELL}, {"r": ["fal/a"]}, tried))
    (only,) = diagnosis.models
    assert (str(only.works), only.failed, only.stands) == ("warning", False, True)
    assert only.status == f"{'warming' if reason == 'MODEL_LOADING' else reason}, ready in about 12 s"
    assert diagnosis.exit_code(strict=True) == 0


def test_an_upstream_that_says_for_free_that_it_is_loading() -> None:
    """R8: the estimate of a free check is shown as the router's."""
    check = catalog_pb2.ModelCheck(exists=True, loaded=False)
    check.ready_in.FromSeconds(20)
    (only,) = diagnose(learnt({"fal/a": check})).models
    assert (str(only.works), only.status) == ("warning", "warming, ready in about 20 s")


def states(model: Mapping[str, Any] | None = None, **provider: Any) -> list[router_pb2.ProviderStatus]:
    """The status of fal, and of its model a."""
    status = router_pb2.ProviderStatus(name="fal", reachable=True, **provider)
    status.models.add(key="a", **(model or {}))
    return [status]


OPEN = {
    "held_back": error_pb2.ERROR_REASON_CIRCUIT_OPEN,
    "last_error": router_pb2.LastError(
        reason=error_pb2.ERROR_REASON_OUT_OF_CREDIT, message="no credit", upstream_status=402, upstream_message="broke"
    ),
}


def test_what_the_router_has_seen_is_told_where_nobody_else_tells() -> None:
    """R12: whom the router passes over fails, with the failure that it saw, though the free word is good."""
    for seen in (states(OPEN), states(**OPEN)):
        (only,) = diagnose(learnt({"fal/a": WELL}, states=seen)).models
        assert (str(only.works), only.status) == ("failed", "402 OUT_OF_CREDIT")
        assert only.trouble is not None
        assert only.trouble.upstream_message == "broke"
        assert is_worth_a_picture("fal/a", learnt({"fal/a": WELL}, states=seen))


def test_a_key_that_is_accepted_by_now_is_not_held_against_its_provider() -> None:
    """R12: the router hears of a new key within seconds; the doctor has just asked."""
    refused = router_pb2.LastError(reason=error_pb2.ERROR_REASON_CREDENTIALS_REJECTED)
    seen = states(held_back=error_pb2.ERROR_REASON_CIRCUIT_OPEN, last_error=refused)
    assert str(diagnose(learnt({"fal/a": WELL}, states=seen)).models[0].works) == "ok"


def test_a_model_that_rejects_everything_is_found_for_free() -> None:
    """R1, R12: the router's own traffic has shown it; the upstream's words and the catalogue's entry are named."""
    (only,) = diagnose(learnt({"fal/a": WELL}, states=states({"rejecting": "unexpected keyword 'lora'"}))).models
    assert (str(only.works), only.status) == ("failed", "UPSTREAM_REJECTED_INPUT")
    assert only.to_dict()["upstream_message"] == "unexpected keyword 'lora'"
    assert "IMAGEGATE_MODELS" in only.notes[0]


def test_a_wait_that_the_router_knows_of() -> None:
    """R8: how long it still takes is reckoned from now."""
    model = {"held_back": error_pb2.ERROR_REASON_WARMING}
    seen = states(model)
    seen[0].models[0].until.FromSeconds(int(NOW) + 30)
    (only,) = diagnose(learnt({"fal/a": WELL}, states=seen)).models
    assert only.status == "warming, ready in about 30 s"


def test_what_an_operator_holds_back_is_off() -> None:
    """R12: a decision is no failure; it says whose it was and how to take it back."""
    decided = router_pb2.BreakerOverride(provider="fal", model="a", reason="invoices", actor="alice")
    seen = states({"held_back": error_pb2.ERROR_REASON_CIRCUIT_OPEN, "override": decided})
    (only,) = diagnose(learnt({"fal/a": WELL}, states=seen)).models
    assert (str(only.works), only.remedy) == ("off", "imagegate breaker clear fal/a")
    assert "alice" in only.message
    assert not is_worth_a_picture("fal/a", learnt({"fal/a": WELL}, states=seen))


def test_a_provider_without_free_questions_is_not_asked() -> None:
    """R12: nothing speaks against its models, so its routes stand, and nothing is claimed."""
    check = catalog_pb2.ModelCheck(reason=error_pb2.ERROR_REASON_UNSUPPORTED, message="fal does not offer CheckModel")
    diagnosis = diagnose(learnt({"fal/a": check}, {"r": ["fal/a"]}))
    assert (str(diagnosis.models[0].works), diagnosis.exit_code(strict=True)) == ("not asked", 0)
    assert is_worth_a_picture("fal/a", learnt({"fal/a": check}))


def test_a_check_that_could_not_be_had_is_told() -> None:
    """R12: a candidate that no catalogue has, and a check without an answer in time, fail as they are."""
    checks = {
        "fal/x:y": Trouble("MODEL_NOT_FOUND", "no such model"),
        "fal/a": Trouble("TIMEOUT", "late"),
    }
    diagnosis = diagnose(learnt(checks, {"r": ["fal/x:y"]}))
    assert [(each.model, each.status) for each in diagnosis.models] == [
        ("fal/a", "TIMEOUT"),
        ("fal/x:y", "MODEL_NOT_FOUND"),
    ]
    assert diagnosis.exit_code(strict=False) == 1


def test_a_provider_that_does_not_answer_says_where_it_was_looked_for() -> None:
    """R12: the process is the matter then, not the upstream."""
    seen = [router_pb2.ProviderStatus(name="fal", reachable=False, problem="nobody at nowhere:1")]
    providers = diagnose(learnt({}, states=seen)).providers
    assert providers[0].problem == "nobody at nowhere:1"
    assert providers[1].problem


def test_a_provider_that_does_not_answer_is_a_failure_without_models_too() -> None:
    """R12: --strict minds a provider that was never reached, of which no model is known; not one that is off."""
    seen = [router_pb2.ProviderStatus(name="fal", reachable=True), router_pb2.ProviderStatus(name="hf", problem="gone")]
    for enabled, strict in ((True, 1), (False, 0)):
        diagnosis = diagnose(learnt({}, states=seen, enabled=enabled, disabled_reason="" if enabled else "set KEY"))
        assert (diagnosis.exit_code(strict=False), diagnosis.exit_code(strict=True)) == (0, strict)
