"""Duties that need an upstream in trouble: time that runs out, callers that leave, pictures that are none."""

import asyncio
from functools import partial

from imagegate.conformance import free
from imagegate.conformance.body import SUBMISSION, Recording, Step
from imagegate.conformance.duty import Bench, TroubledDuty
from imagegate.conformance.judging import Expected, answer_problems, failure_problems
from imagegate.conformance.row import Finding
from imagegate.conformance.stand_in import Played, StandIn
from imagegate.conformance.told import OK
from imagegate.runtime.errors import Dispatch, Reason
from imagegate.runtime.metadata import FALLBACK_WAITS, UPSTREAM_ID

# Seconds.
DEADLINE = 4.0
LATE = 1.0  # by which the answer to a later step is put off
LEFT = 1.5  # for which a submission is held before any work is done for it
PATIENCE = 10.0  # for the sandbox to see what has to come
REFUSED_WITHIN = 3.0  # one second of waiting for a slot, and as much again for the machine
SETTLED = 0.5

# More callers than any provider serves at a time; who serves as many cannot be made busy here.
CALLERS = 48
TRIES = 3

TIMEOUT = Expected((Reason.TIMEOUT,))
BROKEN = Expected((Reason.UPSTREAM_ERROR,), dispatch=Dispatch.UNKNOWN)
NO_PICTURE = Expected((Reason.BAD_OUTPUT,), dispatch=Dispatch.ACCEPTED)
HELD_BACK = Expected((Reason.BUSY, Reason.RATE_LIMITED, Reason.OVER_QUOTA), dispatch=Dispatch.NOT_SENT, billed=False)


async def deadline(bench: Bench, stand_in: StandIn, recording: Recording) -> Finding:
    """An attempt ends itself before its caller's deadline, and says how far it got; gRPC has not to end it."""
    request = bench.request("deadline")
    async with stand_in.playing(recording.steps[SUBMISSION].rule("hang")):
        told = await bench.generate(request, timeout=DEADLINE).told()
    problems = failure_problems(told, TIMEOUT, bench.provider, request.request_id)
    failure = told.failure
    if failure is not None and failure.dispatch not in (Dispatch.UNKNOWN, Dispatch.ACCEPTED):
        problems.append(f"dispatch is {failure.dispatch}, and the submission had left")
    if told.seconds >= DEADLINE:
        problems.append(f"it ended after {told.seconds:.2f} s")
    return Finding(f"{told.summary()}, after {told.seconds:.2f} s", problems)


async def upstream_id(bench: Bench, stand_in: StandIn, recording: Recording) -> Finding:
    """The upstream's id is told the moment it is known: a caller that loses the answer can still ask by it."""
    if recording.ids == "none":
        return Finding.not_tried(f"{recording.upstream} has no ids")
    is_early = recording.ids == "early"
    request = bench.request("upstream-id")
    rules = [recording.steps["status"].rule("delay", seconds=LATE)] if is_early else []
    async with stand_in.playing(*rules):
        told = await bench.generate(request).told()
    problems = answer_problems(told, request, bench.model, bench.provider)
    if not told.head.get(UPSTREAM_ID):
        problems.append(f"there is no {UPSTREAM_ID} in the initial metadata")
    elif is_early and told.head_seconds > told.seconds - LATE / 2:
        problems.append(f"it came after {told.head_seconds:.2f} s, with the answer")
    return Finding(f"after {told.head_seconds:.2f} s of {told.seconds:.2f} s", problems)


async def leaving(bench: Bench, stand_in: StandIn, recording: Recording) -> Finding:
    """Work that nobody waits for any more is stopped, where the upstream can stop it."""
    match recording.cancel:
        case "call":
            return await _leaving_by_call(bench, stand_in, recording)
        case "connection":
            return await _leaving_by_connection(bench, stand_in, recording)
        case "none":
            return Finding.not_tried(f"{recording.upstream} cannot stop one request without stopping others")


async def _leaving_by_call(bench: Bench, stand_in: StandIn, recording: Recording) -> Finding:
    """Leave when the upstream has the work, and see whether it is told."""
    slow = recording.steps["status"].rule("delay", seconds=bench.timeout)
    cancelling = recording.steps["cancel"].rule("delay", seconds=0)
    async with stand_in.playing(slow, cancelling) as played:
        call = bench.generate(bench.request("leaving"))
        has_id = UPSTREAM_ID in await call.head()
        call.leave()
        is_told = await played.until(lambda times: times > 0, min(PATIENCE, bench.timeout), index=1)
        await call.told()
    problems = [] if has_id else ["the work's id never came"]
    problems += [] if is_told else ["the upstream was not told to stop"]
    return Finding("the upstream was told to stop" if is_told else "nothing", problems)


async def _leaving_by_connection(bench: Bench, stand_in: StandIn, recording: Recording) -> Finding:
    """Leave while the upstream holds the submission: whoever has dropped the connection has nothing made for them."""
    held = recording.steps[SUBMISSION].rule("delay", seconds=LEFT, executed=False)
    request = bench.request("leaving")
    async with stand_in.playing(held) as played:
        call = bench.generate(request)
        is_asked = await played.until(lambda times: times > 0, min(PATIENCE, bench.timeout))
        call.leave()
        await call.told()
        await asyncio.sleep(LEFT + SETTLED)
        made = [each for each in await stand_in.billing() if each["prompt"] == request.prompt]
    problems = [] if is_asked else ["nothing was submitted"]
    problems += ["a picture was made for nobody"] if made else []
    return Finding(f"{len(made)} made", problems)


async def busy(bench: Bench, stand_in: StandIn, recording: Recording) -> Finding:
    """Who has another candidate waiting is told soon that there is no room, and when to come back."""
    async with stand_in.playing(recording.steps[SUBMISSION].rule("hang")) as played:
        requests = [bench.request(f"busy-{number}") for number in range(CALLERS)]
        calls = [bench.generate(request) for request in requests]
        try:
            for _ in range(TRIES):  # who gets a slot after all makes it busier for the next
                working = await _settled(played)
                if working >= CALLERS:
                    return Finding.not_tried(f"it works on {CALLERS} requests at a time and more")
                request = bench.request("busy")
                waits = ((FALLBACK_WAITS, "1"),)
                told = await bench.generate(request, metadata=waits, timeout=REFUSED_WITHIN + 1).told()
                if await played.met() == working:
                    break
        finally:
            for call in calls:
                call.leave()
            await asyncio.gather(*(call.told() for call in calls))
            await _settled(played)  # a slot that came free may have let one more through, which is not the next duty's
    problems = failure_problems(told, HELD_BACK, bench.provider, request.request_id)
    failure = told.failure
    if failure is not None and failure.retry_after is None:
        problems.append("there is no RetryInfo")
    if told.seconds > REFUSED_WITHIN:
        problems.append(f"it took {told.seconds:.2f} s")
    return Finding(f"{told.summary()}, with {working} under way", problems)


async def _settled(played: Played) -> int:
    """How many submissions are under way when no more come."""
    await played.until(lambda times: times > 0, PATIENCE)
    seen = -1
    while seen != (now := await played.met()):
        seen = now
        await asyncio.sleep(SETTLED)
    return seen


async def broken(bench: Bench, stand_in: StandIn, recording: Recording) -> Finding:
    """A connection that breaks tells nothing of what became of the work, and nothing is submitted again."""
    return await _failing(bench, stand_in, recording, "reset", BROKEN)


async def no_picture(fault: str, bench: Bench, stand_in: StandIn, recording: Recording) -> Finding:
    """What the upstream calls a picture and is none is never passed on."""
    return await _failing(bench, stand_in, recording, fault, NO_PICTURE)


async def _failing(bench: Bench, stand_in: StandIn, recording: Recording, fault: str, expected: Expected) -> Finding:
    request = bench.request(f"trouble-{fault}")
    async with stand_in.playing(recording.steps[SUBMISSION].rule(fault)) as played:
        told = await bench.generate(request).told()
        submitted = await played.met()
    problems = failure_problems(told, expected, bench.provider, request.request_id)
    problems += [] if submitted == 1 else [f"it was submitted {submitted} times"]
    return Finding(told.summary(), problems)


async def wrong_size(bench: Bench, stand_in: StandIn, recording: Recording) -> Finding:
    """A picture of another size than asked is delivered, and said to be one."""
    request = bench.request("trouble-wrong-size")
    async with stand_in.playing(recording.steps[SUBMISSION].rule("wrong_size")):
        told = await bench.generate(request).told()
    problems = answer_problems(told, request, bench.model, bench.provider)
    sizes = [f"{image.width} × {image.height}" for answer in told.answers for image in getattr(answer, "images", ())]
    return Finding(", ".join(sizes) if told.code == OK else told.summary(), problems)


async def check_model(bench: Bench, stand_in: StandIn, recording: Recording) -> Finding:
    """An upstream that is down is what CheckModel tells of; it does not fail for it."""
    everything = [
        Step(upstream=name).rule("status", code=500) for name in {s.upstream for s in recording.steps.values()}
    ]
    async with stand_in.playing(*everything):
        return await free.check_model(bench)


DUTIES = (
    TroubledDuty("deadline", f"{TIMEOUT.summary()}, before the {DEADLINE:g} s of the caller are over", deadline),
    TroubledDuty("upstream-id", f"{UPSTREAM_ID} in the initial metadata, as soon as it is known", upstream_id),
    TroubledDuty("leaving", "work that nobody waits for is stopped upstream", leaving),
    TroubledDuty("busy", f"{HELD_BACK.summary()}, RetryInfo, within {REFUSED_WITHIN:g} s", busy),
    TroubledDuty("connection-reset", f"{BROKEN.summary()}, one submission", broken),
    TroubledDuty("output/truncated", NO_PICTURE.summary(), partial(no_picture, "truncate")),
    TroubledDuty("output/bomb", NO_PICTURE.summary(), partial(no_picture, "bomb")),
    TroubledDuty("output/wrong-size", "the picture as it is, an adjustment", wrong_size),
    TroubledDuty("check-model/trouble", "an answer, though every call to the upstream fails", check_model),
)
