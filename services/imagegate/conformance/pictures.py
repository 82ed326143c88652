"""Duties that make pictures: against a real upstream each costs what a small picture costs."""

from collections.abc import Mapping, Sequence

from imagegate.conformance import asking
from imagegate.conformance.duty import Bench, Duty
from imagegate.conformance.face import GENERATE_STREAM
from imagegate.conformance.free import UNIMPLEMENTED
from imagegate.conformance.judging import (
    Expected,
    answer_problems,
    failure_problems,
    request_id_problems,
    response_problems,
)
from imagegate.conformance.row import Finding
from imagegate.conformance.told import OK, Told
from imagegate.runtime.adjustments import Value
from imagegate.runtime.errors import Reason
from imagegate.runtime.validation import MIN_OUTPUT_BYTES
from imagegate.v1 import generation_pb2

SEED = 7


async def picture(bench: Bench) -> Finding:
    """A request without a model gets a whole picture of the first model, and all that is said of it is true."""
    request = bench.request("picture", "", _seed(bench))
    told = await bench.generate(request).told()
    return Finding(_came(told), answer_problems(told, request, bench.model, bench.provider))


async def adjustment(bench: Bench) -> Finding:
    """What a model cannot take as asked is changed and said; a seed that was left open is drawn and told."""
    fields = asking.unfit(bench.model)
    if fields is None:
        return Finding.not_tried(f"{bench.model.key} takes every value that a request may have")
    (name,) = fields
    request = bench.request("adjustment", fields=fields)
    told = await bench.generate(request).told()
    problems = answer_problems(told, request, bench.model, bench.provider)
    made = [each for answer in told.answers for each in getattr(answer, "adjustments", ()) if each.parameter == name]
    if told.code == OK and not made:
        problems.append(f"no adjustment tells of {name}")
    came = ", ".join(f"{each.parameter} {each.requested} → {each.applied or 'not sent'}" for each in made)
    return Finding(came or _came(told), problems)


async def count(bench: Bench) -> Finding:
    """Two pictures have two seeds, one after the other, and are two pictures."""
    request = bench.request("count", fields={"count": 2, **_seed(bench)})
    told = await bench.generate(request).told()
    problems = answer_problems(told, request, bench.model, bench.provider)
    sums = [image.sha256 for answer in told.answers for image in getattr(answer, "images", ())]
    if len(set(sums)) < len(sums) and "seed" in bench.model.parameters:
        problems.append("both are the same picture")
    return Finding(_came(told), problems)


async def handover(bench: Bench) -> Finding:
    """A picture comes in the format and within the bytes that were asked for."""
    request = bench.request("handover", fields=_seed(bench))
    request.output.format = generation_pb2.FORMAT_JPEG
    request.output.max_bytes = MIN_OUTPUT_BYTES
    told = await bench.generate(request).told()
    return Finding(_came(told), answer_problems(told, request, bench.model, bench.provider))


async def handover_of_nothing(bench: Bench) -> Finding:
    """What is known of a picture comes without it."""
    request = bench.request("handover/none", fields=_seed(bench))
    request.output.delivery = generation_pb2.DELIVERY_NONE
    told = await bench.generate(request).told()
    return Finding(_came(told), answer_problems(told, request, bench.model, bench.provider))


async def stream(bench: Bench) -> Finding:
    """The same told while it happens: the answer comes as `completed`, and nothing after it."""
    request = bench.request("stream", fields=_seed(bench))
    told = await bench.face.call(GENERATE_STREAM, request, bench.timeout).told()
    if told.code == UNIMPLEMENTED:
        return Finding.not_offered()
    kinds = [event.WhichOneof("event") or "nothing" for event in _events(told)]
    if told.code != OK:
        return Finding(told.summary(), [f"it failed: {told.message}"])
    problems = list(request_id_problems(told, request.request_id))
    if kinds[-1:] != ["completed"] or kinds.count("completed") > 1:
        problems.append(f"`completed` is due as the last event, {', '.join(kinds) or 'none'} came")
    else:
        response = _events(told)[-1].completed
        problems += response_problems(response, request, bench.model, bench.provider)
    return Finding(" ".join(kinds), problems)


async def failing_stream(bench: Bench) -> Finding:
    """A stream that cannot deliver ends with the error of Generate."""
    request = generation_pb2.GenerateRequest()
    request.CopyFrom(asking.BAD)
    told = await bench.face.call(GENERATE_STREAM, request, bench.timeout).told()
    if told.code == UNIMPLEMENTED:
        return Finding.not_offered()
    return Finding(told.summary(), failure_problems(told, Expected((Reason.INVALID_REQUEST,)), bench.provider))


FIRST = Duty("picture", "a whole picture with its size, type, checksum, seed and the request's id", picture)
DUTIES = (
    Duty("adjustment", "the changed parameter in `adjustments`; the drawn seed in the picture", adjustment),
    Duty("count", "two pictures, of seed and seed + 1", count),
    Duty("handover", f"a JPEG of at most {MIN_OUTPUT_BYTES:,} bytes", handover),
    Duty("handover/none", "size, type, checksum and seed without the picture", handover_of_nothing),
    Duty("stream", "events, `completed` last", stream),
    Duty("stream/failure", "INVALID_ARGUMENT INVALID_REQUEST, told as by Generate", failing_stream),
)


def _seed(bench: Bench) -> Mapping[str, Value]:
    return {"seed": SEED} if "seed" in bench.model.parameters else {}


def _events(told: Told) -> Sequence[generation_pb2.GenerateEvent]:
    return [event for event in told.answers if isinstance(event, generation_pb2.GenerateEvent)]


def _came(told: Told) -> str:
    pictures = [
        f"{image.width} × {image.height} {image.mime_type}" + (f" seed {image.seed}" if image.HasField("seed") else "")
        for answer in told.answers
        if isinstance(answer, generation_pb2.GenerateResponse)
        for image in answer.images
    ]
    return "; ".join(pictures) if told.code == OK and pictures else told.summary()
