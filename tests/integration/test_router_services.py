"""What the router tells besides pictures: why, what would be, what was, and what operators decided."""

import asyncio
from collections.abc import Awaitable, Callable

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from imagegate.router.health import HealthNames
from imagegate.runtime.check import Check
from imagegate.runtime.errors import Dispatch, Failure, Reason
from imagegate.testing import SCRIPTED_MODEL, Hang, House, Telling, outcomes, told
from imagegate.v1 import (
    admin_pb2,
    catalog_pb2,
    catalog_pb2_grpc,
    error_pb2,
    generation_pb2,
    router_pb2,
    router_pb2_grpc,
    terms_pb2,
)

Request = generation_pb2.GenerateRequest


def failure(reason: Reason, **more: object) -> Failure:
    return Failure(reason, f"the script says {reason}", **more)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await holds():
            await asyncio.sleep(0.02)


# ── Explain ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def explain(house: House, request: Request) -> router_pb2.Explanation:
    async with house.channel() as channel:
        return await router_pb2_grpc.RouterServiceStub(channel).Explain(request, timeout=10)


async def test_explain_says_what_generate_then_does(house: House) -> None:
    """Explain names who would be tried in which order, who would be passed over and why, changes, costs and times."""
    await house.build([failure(Reason.CREDENTIALS_REJECTED)], [], [])
    await house.generate()
    request = Request(prompt="x", steps=140, routing=generation_pb2.Routing(deny_providers=["c"]))
    explanation = await explain(house, request)
    assert explanation.resolved_by == generation_pb2.RESOLVED_BY_DEFAULT
    tried, *passed = explanation.candidates
    assert (tried.provider, tried.turn, tried.cost) == ("b", 1, 3)
    assert [(a.parameter, a.requested, a.applied) for a in tried.adjustments] == [("steps", "140", "50")]
    assert tried.usual.ToMilliseconds() == 1500
    assert tried.timeout.ToMilliseconds() > 9000
    assert tried.payment == terms_pb2.PAYMENT_AVAILABLE
    assert {p.provider: Reason.from_proto(p.skipped.reason) for p in passed} == {
        "a": Reason.CIRCUIT_OPEN,
        "c": Reason.NOT_ALLOWED,
    }
    assert passed[0].skipped.HasField("until")
    answer = await house.generate(request)
    assert outcomes(answer.attempts) == ["[a CIRCUIT_OPEN]", "b OK"]
    assert len(house.providers["a"].orders) == 1


async def test_explain_tells_the_error_where_nobody_would_be_tried(house: House) -> None:
    """Where nothing is admissible Explain has the error that Generate would end with."""
    await house.build([])
    explanation = await explain(house, Request(prompt="x", routing=generation_pb2.Routing(deny_providers=["a"])))
    assert Reason.from_proto(explanation.reason) is Reason.NO_CANDIDATE
    assert "a/model skipped NOT_ALLOWED" in explanation.message


async def test_explain_knows_that_four_attempts_are_all(house: House) -> None:
    """A fifth candidate has no turn: Generate makes four attempts."""
    await house.build(*[[failure(Reason.UPSTREAM_ERROR, dispatch=Dispatch.REFUSED)]] * 5)
    explanation = await explain(house, Request(prompt="x"))
    assert [candidate.turn for candidate in explanation.candidates] == [1, 2, 3, 4, 0]
    _, told_ = await house.fail()
    assert outcomes(told_.attempts) == [f"{name} UPSTREAM_ERROR" for name in "abcd"]


@pytest.mark.parametrize("request_", [Request(prompt=""), Request(prompt="x", model="no-such-model")])
async def test_explain_fails_like_generate(house: House, request_: Request) -> None:
    """A wrong request and an unknown model fail in Explain with the same code and reason as in Generate."""
    await house.build([])
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await explain(house, request_)
    error, expected = await house.fail(request_)
    assert (caught.value.code(), told(caught.value).reason) == (error.code(), expected.reason)


# ── Requests that were ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_request_can_be_looked_at_afterwards(house: House) -> None:
    """GetRequest tells the attempts, who delivered, how long it took; ListRequests the latest first, or failed ones."""
    await house.build(
        [failure(Reason.UPSTREAM_ERROR, dispatch=Dispatch.UNKNOWN, upstream_message="boom"), b"no picture"]
    )
    await house.fail(Request(prompt="one", request_id="first"))
    await house.fail(Request(prompt="two", request_id="second"))
    await house.generate(Request(prompt="three", request_id="third"))
    async with house.channel() as channel:
        stub = router_pb2_grpc.RouterServiceStub(channel)
        record = await stub.GetRequest(router_pb2.GetRequestRequest(request_id="first"))
        everything = await stub.ListRequests(router_pb2.ListRequestsRequest())
        failed = await stub.ListRequests(router_pb2.ListRequestsRequest(failed_only=True, limit=1))
        with pytest.raises(grpc.aio.AioRpcError) as unknown:
            await stub.GetRequest(router_pb2.GetRequestRequest(request_id="never"))
    assert Reason.from_proto(record.reason) is Reason.UPSTREAM_ERROR
    assert outcomes(record.attempts) == ["a UPSTREAM_ERROR"]
    assert record.attempts[0].upstream_message == "boom"
    assert record.duration.ToMilliseconds() >= 0
    assert (record.prompt, record.under_way) == ("one", False)
    assert [each.request_id for each in everything.requests] == ["third", "second", "first"]
    assert (everything.requests[0].provider, everything.requests[0].delivered_model) == ("a", "model")
    assert [each.request_id for each in failed.requests] == ["second"]
    assert unknown.value.code() is grpc.StatusCode.NOT_FOUND
    assert "1000" in (unknown.value.details() or "")


async def test_the_id_that_is_looked_for_is_not_the_lookups_own(house: House) -> None:
    """R6: GetRequest names the order that it asks about, and is a call with an id of its own."""
    await house.build([])
    await house.generate(Request(prompt="x", request_id="mine"))
    async with house.channel() as channel:
        call = router_pb2_grpc.RouterServiceStub(channel).GetRequest(router_pb2.GetRequestRequest(request_id="mine"))
        assert (await call).request_id == "mine"
        ids = [value for key, value in await call.trailing_metadata() if key == "imagegate-request-id"]
    assert len(ids) == 1
    assert "mine" not in ids


async def test_a_request_under_way_is_told_as_such(house: House) -> None:
    """While a request is under way its record says so, with the attempts that were made so far; its caller may leave,
    and the attempts stay.
    """
    await house.build([failure(Reason.UPSTREAM_ERROR)], [Hang()])
    calling = asyncio.create_task(house.generate(Request(prompt="x", request_id="mine"), timeout=20))
    async with house.channel() as channel:
        stub = router_pb2_grpc.RouterServiceStub(channel)

        async def has_failed_once() -> bool:
            answer = await stub.ListRequests(router_pb2.ListRequestsRequest())
            return any(outcomes(record.attempts) == ["a UPSTREAM_ERROR"] for record in answer.requests)

        await until(has_failed_once)
        record = await stub.GetRequest(router_pb2.GetRequestRequest(request_id="mine"))
        assert record.under_way
        calling.cancel()
        await asyncio.gather(calling, return_exceptions=True)

        async def is_over() -> bool:
            return not (await stub.GetRequest(router_pb2.GetRequestRequest(request_id="mine"))).under_way

        await until(is_over)
        record = await stub.GetRequest(router_pb2.GetRequestRequest(request_id="mine"))
    assert Reason.from_proto(record.reason) is Reason.CANCELLED
    assert outcomes(record.attempts) == ["a UPSTREAM_ERROR", "b CANCELLED"]


async def test_only_the_last_thousand_are_kept(house: House) -> None:
    """What is remembered of requests is bounded: the 1,001st pushes the first one out."""
    await house.build([])
    async with house.channel() as channel, house.router.stubs() as (generation, stub):
        for numbers in (range(1), *(range(start, start + 100) for start in range(1, 1001, 100))):
            calls = [
                generation.Generate(Request(prompt="x", model="nowhere", request_id=f"r{number}"), timeout=20)
                for number in numbers
            ]
            await asyncio.gather(*calls, return_exceptions=True)
        answer = await router_pb2_grpc.RouterServiceStub(channel).ListRequests(
            router_pb2.ListRequestsRequest(limit=1000)
        )
        assert len(answer.requests) == 1000
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.GetRequest(router_pb2.GetRequestRequest(request_id="r0"))


# ── The status, watched ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_watching_the_status_tells_a_change_within_seconds(house: House) -> None:
    """R11: WatchStatus tells the status at once, and again when a breaker has opened."""
    await house.build([failure(Reason.OUT_OF_CREDIT, upstream_message="pay")], [])
    async with house.channel() as channel, asyncio.timeout(10):
        watching = router_pb2_grpc.RouterServiceStub(channel).WatchStatus(router_pb2.WatchStatusRequest())
        seen = [await watching.read()]
        await house.generate()
        while seen[-1].providers[0].breaker != router_pb2.BREAKER_STATE_OPEN:
            seen.append(await watching.read())
        watching.cancel()
    assert seen[0].providers[0].breaker == router_pb2.BREAKER_STATE_CLOSED
    provider = seen[-1].providers[0]
    assert Reason.from_proto(provider.held_back) is Reason.CIRCUIT_OPEN
    assert provider.last_error.upstream_message == "pay"


async def test_the_failure_rate_is_in_the_status(house: House) -> None:
    """R11: the status has the share of attempts that failed, for the provider and its model."""
    await house.build([failure(Reason.UPSTREAM_ERROR)], [], [])
    for _ in range(2):
        await house.generate()
    async with house.router.stubs() as (_, stub):
        status = await stub.GetStatus(router_pb2.GetStatusRequest())
    first, second, idle = status.providers
    assert (first.failure_rate, first.models[0].failure_rate) == (0.5, 0.5)
    assert second.failure_rate == 0
    assert not idle.HasField("failure_rate")


# ── Operators ────────────────────────────────────────────────────────────────────────────────────────────────────────


def override(
    mode: "router_pb2.OverrideMode.ValueType", model: str = "", **more: object
) -> admin_pb2.OverrideBreakerRequest:
    return admin_pb2.OverrideBreakerRequest(provider="a", model=model, mode=mode, reason="drill", actor="ops", **more)


async def test_an_operator_opens_and_clears_a_breaker(house: House) -> None:
    """An operator's OPEN passes the provider over, with the reason and who, until it is cleared."""
    await house.build([], [])
    async with house.router.admin() as admin:
        decided = await admin.OverrideBreaker(override(router_pb2.OVERRIDE_MODE_OPEN))
        assert (decided.provider, decided.actor, decided.HasField("until")) == ("a", "ops", True)
        answer = await house.generate()
        assert outcomes(answer.attempts) == ["[a CIRCUIT_OPEN]", "b OK"]
        assert "ops opened it: drill" in answer.attempts[0].message
        listed = await admin.ListOverrides(admin_pb2.ListOverridesRequest())
        assert [each.reason for each in listed.overrides] == ["drill"]
        await admin.ClearOverride(admin_pb2.ClearOverrideRequest(provider="a"))
        assert outcomes((await house.generate()).attempts) == ["a OK"]
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await admin.ClearOverride(admin_pb2.ClearOverrideRequest(provider="a"))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_an_operator_closes_what_a_refused_key_had_opened(house: House) -> None:
    """CLOSED lets requests pass at once and forgets what had opened the breaker."""
    await house.build([failure(Reason.CREDENTIALS_REJECTED)], [])
    await house.generate()
    assert outcomes((await house.generate()).attempts) == ["[a CIRCUIT_OPEN]", "b OK"]
    async with house.router.admin() as admin:
        await admin.OverrideBreaker(override(router_pb2.OVERRIDE_MODE_CLOSED))
        assert outcomes((await house.generate()).attempts) == ["a OK"]


async def test_a_wrong_decision_is_refused_with_every_fault(house: House) -> None:
    """A decision without mode, reason or actor, or for too long, is INVALID_ARGUMENT; an unknown name NOT_FOUND."""
    await house.build([])
    wrong = admin_pb2.OverrideBreakerRequest(provider="a")
    wrong.duration.FromSeconds(8 * 86_400)
    async with house.router.admin() as admin:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await admin.OverrideBreaker(wrong)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        fields = {violation.field for violation in told(caught.value).violations}
        assert fields == {"mode", "reason", "actor", "duration"}
        for model, provider in (("", "nobody"), ("no-model", "a")):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await admin.OverrideBreaker(
                    admin_pb2.OverrideBreakerRequest(
                        provider=provider,
                        model=model,
                        mode=router_pb2.OVERRIDE_MODE_OPEN,
                        reason="drill",
                        actor="ops",
                    )
                )
            assert caught.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("seconds", [2**62, -(2**62), 10**14, 7 * 86_400, 0, -1])
async def test_any_duration_that_is_no_week_is_refused(house: House, seconds: int) -> None:
    """A decision's duration may be any two integers on the wire: what is not within 7 days is INVALID_ARGUMENT."""
    await house.build([])
    request = override(router_pb2.OVERRIDE_MODE_OPEN)
    request.duration.seconds, request.duration.nanos = seconds, 1 if seconds > 0 else 0
    async with house.router.admin() as admin:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await admin.OverrideBreaker(request)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert [violation.field for violation in told(caught.value).violations] == ["duration"]


async def test_the_words_of_a_decision_are_kept_as_they_were_checked(house: House) -> None:
    """Spaces around a reason or a name are not counted, and not kept either."""
    await house.build([])
    request = override(router_pb2.OVERRIDE_MODE_OPEN)
    request.reason, request.actor = "drill" + " " * 100_000, "\tops\n"
    async with house.router.admin() as admin:
        decided = await admin.OverrideBreaker(request)
    assert (decided.reason, decided.actor) == ("drill", "ops")


async def test_the_configuration_in_force_can_be_read(house: House) -> None:
    """GetConfig tells the whole configuration with its hash."""
    await house.build([])
    async with house.router.admin() as admin:
        config = await admin.GetConfig(admin_pb2.GetConfigRequest())
    assert "a/model" in config.yaml
    assert config.hash
    assert config.source == "a test"


# ── Health ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_health_answers_for_providers_and_routes(house: House) -> None:
    """`provider/<name>` and `route/<name>` are served while they can be used; the overall answer depends on nobody."""
    await house.build([failure(Reason.CREDENTIALS_REJECTED)], [])
    names = HealthNames(house.router.router, house.router.running.tell_health)
    await names.look()
    async with house.channel() as channel:
        health = health_pb2_grpc.HealthStub(channel)

        async def serving(name: str) -> bool:
            answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
            return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

        assert [await serving(name) for name in ("provider/a", "provider/b", "route/default", "")] == [True] * 4
        await house.generate()
        await names.look()
        assert [await serving(name) for name in ("provider/a", "provider/b", "route/default", "")] == [
            False,
            True,
            True,
            True,
        ]
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await serving("provider/nobody")
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_one_request_a_second_makes_no_route_available(house: House) -> None:
    """A route whose only candidate is open is not served, although a request a second finds out."""
    await house.build([failure(Reason.UPSTREAM_ERROR)] * 5)
    for _ in range(5):
        await house.fail()
    assert not house.router.router.is_available("default")


# ── CheckModel ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_check_model_of_an_unknown_name_is_not_found(house: House) -> None:
    """A name that means nothing is NOT_FOUND with the nearest names, as everywhere."""
    await house.build([])
    async with house.channel() as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await catalog_pb2_grpc.CatalogServiceStub(channel).CheckModel(catalog_pb2.CheckModelRequest(name="modle"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert "model" in (caught.value.details() or "")


# ── A key twice ──────────────────────────────────────────────────────────────────────────────────────────────────────


PAY_ONCE = (SCRIPTED_MODEL.model_copy(update={"payment": "pay_once"}),)


def keyed(prompt: str = "x", key: str = "k1", **more: object) -> Request:
    return Request(prompt=prompt, idempotency_key=key, **more)


async def test_the_same_key_twice_is_paid_once(house: House) -> None:
    """The second call with a key joins the first, or gets its answer: one order, the same picture."""
    await house.build([])
    first, joined = await asyncio.gather(house.generate(keyed()), house.generate(keyed()))
    later = await house.generate(keyed(request_id="another-id"))
    assert len(house.providers["a"].orders) == 1
    assert first.images[0].seed == joined.images[0].seed == later.images[0].seed


async def test_whoever_joins_is_answered_by_his_own_id(house: House) -> None:
    """R6: an answer has the id of the call that it answers, on a stream too, whosever order it was."""
    await house.build([])
    await house.generate(keyed(request_id="first"))
    assert (await house.generate(keyed(request_id="second"))).request_id == "second"
    assert (await house.generate(keyed(request_id="first"))).request_id == "first"
    async with house.router.stubs() as (generation, _):
        events = [event async for event in generation.GenerateStream(keyed(request_id="third"), timeout=20)]
    assert events[-1].completed.request_id == "third"
    assert events[-1].completed.images[0].data.startswith(b"\x89PNG")
    assert len(house.providers["a"].orders) == 1


async def test_whoever_joins_with_more_time_is_not_held_to_the_firsts(house: House) -> None:
    """The first caller's time runs out, and whoever joined with more of it gets a picture."""
    await house.build([Hang()])
    hasty = asyncio.create_task(house.generate(keyed(), timeout=1))

    async def has_order() -> bool:
        return len(house.providers["a"].orders) == 1

    await until(has_order)
    assert (await house.generate(keyed(), timeout=20)).provider == "a"
    with pytest.raises(grpc.aio.AioRpcError):
        await hasty
    assert len(house.providers["a"].orders) == 2


async def test_a_key_of_another_request_is_refused(house: House) -> None:
    """One key for two different requests is FAILED_PRECONDITION, and nothing is made."""
    await house.build([])
    await house.generate(keyed("a cat"))
    error, _ = await house.fail(keyed("a dog"))
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert len(house.providers["a"].orders) == 1


async def test_a_failure_that_cost_nothing_may_be_tried_again_with_its_key(house: House) -> None:
    """A key whose call provably failed without a charge makes a new attempt."""
    await house.build([failure(Reason.UPSTREAM_ERROR, dispatch=Dispatch.REFUSED)])
    await house.fail(keyed())
    assert (await house.generate(keyed())).provider == "a"


async def test_a_failure_that_may_be_paid_stays_with_its_key(house: House) -> None:
    """Where nobody knows whether it was charged, the same key gets the same failure instead of a second bill."""
    lost = failure(Reason.UPSTREAM_ERROR, dispatch=Dispatch.UNKNOWN, upstream_id="job-7")
    await house.build([lost], models=PAY_ONCE)
    await house.fail(keyed())
    _, again = await house.fail(keyed())
    assert again.attempts[0].upstream_id == "job-7"
    assert len(house.providers["a"].orders) == 1


@pytest.mark.parametrize("listens", [True, False])
async def test_a_key_stays_with_an_order_that_was_left_and_may_be_charged(house: House, listens: bool) -> None:
    """Paying once: the connection of the only caller breaks after the upstream took the order; a repetition with the
    key is told of that order instead of making a second one, and the record has it.
    """
    running = Telling([{"phase": generation_pb2.PHASE_RUNNING}], Hang())
    await house.build([running], models=PAY_ONCE, upstream_id="job-7")
    provider = house.providers["a"]

    async def has_told() -> bool:
        return bool(provider.orders and provider.orders[0].upstream_id)

    async with house.router.stubs() as (generation, stub):
        if listens:
            only = generation.GenerateStream(keyed(request_id="mine"), timeout=20)
            async for event in only:
                if event.progress.upstream_id == "job-7":
                    break
            only.cancel()
        else:
            alone = generation.Generate(keyed(request_id="mine"), timeout=20)
            await until(has_told)
            router = house.router.router
            await router.check(router.planner.resolve("").candidates[0])  # after the id, over the same connection
            alone.cancel()

        async def is_over() -> bool:
            record = await stub.GetRequest(router_pb2.GetRequestRequest(request_id="mine"))
            return provider.cancelled == 1 and not record.under_way

        await until(is_over)
        record = await stub.GetRequest(router_pb2.GetRequestRequest(request_id="mine"))
    assert [(attempt.upstream_id, attempt.dispatch) for attempt in record.attempts] == [
        ("job-7", error_pb2.DISPATCH_ACCEPTED)
    ]
    error, again = await house.fail(keyed())
    assert (error.code(), again.reason) == (grpc.StatusCode.UNAVAILABLE, Reason.CANCELLED)
    assert "a/model (its id there is job-7) may be charged" in (error.details() or "")
    assert len(provider.orders) == 1
    await house.generate(keyed(routing=generation_pb2.Routing(payment=terms_pb2.PAYMENT_AVAILABLE)))
    assert len(provider.orders) == 2


async def test_the_work_goes_on_while_anybody_waits_for_it(house: House) -> None:
    """The caller who came first may leave without an effect; when all have left the provider is cancelled."""
    await house.build([Hang()])
    provider = house.providers["a"]
    first = asyncio.create_task(house.generate(keyed()))

    async def has_order() -> bool:
        return len(provider.orders) == 1

    await until(has_order)
    second = asyncio.create_task(house.generate(keyed()))
    async with house.channel() as channel:
        stub = router_pb2_grpc.RouterServiceStub(channel)

        async def two_are_under_way() -> bool:
            answer = await stub.ListRequests(router_pb2.ListRequestsRequest())
            return sum(record.under_way for record in answer.requests) == 2

        await until(two_are_under_way)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)

        async def one_is_under_way() -> bool:
            answer = await stub.ListRequests(router_pb2.ListRequestsRequest())
            return sum(record.under_way for record in answer.requests) == 1

        await until(one_is_under_way)
        assert provider.cancelled == 0
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)

        async def is_cancelled() -> bool:
            return provider.cancelled == 1

        await until(is_cancelled)


async def test_dispatch_is_told_for_what_was_joined(house: House) -> None:
    """An answer has the record of its attempts with dispatch and whether it was billed."""
    await house.build([])
    answer = await house.generate(keyed())
    assert answer.attempts[0].dispatch == error_pb2.DISPATCH_ACCEPTED
    assert answer.attempts[0].billed


# ── A refused key ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("accepted", "after"), [(True, ["a OK"]), (False, ["[a CIRCUIT_OPEN]", "b OK"])])
async def test_a_free_check_that_accepts_the_key_lets_the_next_request_find_out(
    house: House, accepted: bool, after: list[str]
) -> None:
    """A provider whose key was refused is asked for free whether it is taken now; only then it is tried at once."""
    await house.build([failure(Reason.CREDENTIALS_REJECTED)], [], checks=[Check(key_accepted=accepted)])
    await house.generate()
    await house.router.router.check_refused_keys()
    assert outcomes((await house.generate()).attempts) == after


async def test_a_refused_key_is_checked_with_a_model_that_is_on(house: House) -> None:
    """A model that is switched off is never asked about, so it says nothing about the key: the next one does."""
    off = SCRIPTED_MODEL.model_copy(
        update={"key": "off", "upstream_model": "scripted/off", "enabled": False, "disabled_reason": "soon"}
    )
    checks = [Check(key_accepted=True)]
    await house.build([failure(Reason.CREDENTIALS_REJECTED)], [], checks=checks, models=(off, SCRIPTED_MODEL))
    await house.generate()
    await house.router.router.check_refused_keys()
    assert outcomes((await house.generate()).attempts) == ["a OK"]


async def test_no_credit_is_not_healed_by_a_key_that_is_accepted(house: House) -> None:
    """An account without credit has a good key: the free check says nothing about the money."""
    await house.build([failure(Reason.OUT_OF_CREDIT)], [], checks=[Check(key_accepted=True)])
    await house.generate()
    await house.router.router.check_refused_keys()
    assert outcomes((await house.generate()).attempts) == ["[a CIRCUIT_OPEN]", "b OK"]


async def test_check_model_tells_the_word_of_the_upstream(house: House) -> None:
    """CheckModel on the router is its provider's word: whether the model exists, is loaded, and takes the key."""
    await house.build([], checks=[Check(exists=True, loaded=False, ready_in=12.0, key_accepted=True)])
    async with house.channel() as channel:
        check = await catalog_pb2_grpc.CatalogServiceStub(channel).CheckModel(catalog_pb2.CheckModelRequest())
    assert (check.provider, check.exists, check.loaded, check.key_accepted) == ("a", True, False, True)
    assert check.ready_in.seconds == 12
