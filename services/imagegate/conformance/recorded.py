"""Recorded answers of the upstreams, played one by one."""

from functools import partial

from imagegate.conformance.body import FRESH, SUBMISSION, Body, Recording
from imagegate.conformance.duty import Bench, TroubledDuty
from imagegate.conformance.face import GENERATE, GENERATE_STREAM
from imagegate.conformance.free import UNIMPLEMENTED
from imagegate.conformance.judging import Expected, failure_problems
from imagegate.conformance.row import Finding
from imagegate.conformance.stand_in import StandIn
from imagegate.conformance.told import OK


def duties(recording: Recording) -> list[TroubledDuty]:
    """One duty per recorded answer, and one for the first of them told by a stream."""
    streamed, *_ = recording.bodies
    return [
        TroubledDuty(
            "stream/upstream", expected_of(recording, streamed).summary(), partial(play, streamed, GENERATE_STREAM)
        ),
        *(
            TroubledDuty(f"body/{body.name}", expected_of(recording, body).summary(), partial(play, body, GENERATE))
            for body in recording.bodies
        ),
    ]


def expected_of(recording: Recording, body: Body) -> Expected:
    """The failure that an answer has to become. Of an answer of success the status need not be told."""
    return Expected(
        (body.reason,),
        dispatch=recording.dispatch(body),
        billed=recording.billed(body),
        retry_after=body.retry_after,
        upstream_status=body.status if body.status >= 400 else 0,
        words=body.words,
        remedy=body.remedy,
    )


async def play(body: Body, method: str, bench: Bench, stand_in: StandIn, recording: Recording) -> Finding:
    """Ask for a picture while the sandbox answers so at that step; a refused submission must not be repeated."""
    name = body.model.replace(FRESH, f"{bench.token}-{body.name}") or None
    request = bench.request(f"body/{body.name}", name)
    async with stand_in.playing(recording.rule(body)) as played:
        told = await bench.face.call(method, request, bench.timeout).told()
        met = await played.met()
    if method == GENERATE_STREAM and told.code == UNIMPLEMENTED:
        return Finding.not_offered()
    if not met and body.step != SUBMISSION:
        return Finding.not_tried(
            f"this provider, or this upstream today, has no such step ({body.step})", told.summary()
        )
    if body.may_deliver and told.code == OK:
        return Finding(told.summary(), [])
    problems = failure_problems(told, expected_of(recording, body), bench.provider, request.request_id)
    if body.step == SUBMISSION and met != 1:
        problems.append(f"it was submitted {met} times")
    return Finding(told.summary(), problems)
