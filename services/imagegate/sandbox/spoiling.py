"""What a fault does to an answer. A picture's own faults are drawn (`pictures`); the rest happens here."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable

from aiohttp import web

from imagegate.sandbox.call import CALL, answer_of
from imagegate.sandbox.faults import Rule
from imagegate.sandbox.pictures import PICTURE_FAULTS

Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]

LONGEST_HANG = 24 * 3600.0  # s
HUGE_BYTES = 200_000_000
BLOCK = 64 * 1024
TICKS = 10  # a second, at which a slow body moves on
COMPLAINT_KEY = {"fal": "detail", "automatic1111": "detail"}  # the others say "error"
HTML = "<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>"


async def play(rule: Rule, request: web.Request, answering: Answering) -> web.StreamResponse:
    """Answer `request` as `rule` says. `answering` does the real work, which an executed fault still has done."""
    if rule.fault in PICTURE_FAULTS:
        return await answering(request)
    if rule.fault == "delay" and not rule.is_executed:  # the wait comes first: who leaves in it has nothing done
        await asyncio.sleep(_seconds(rule, 1.0))
        return await answering(request)
    if rule.fault in WITH_ANSWER:
        return await WITH_ANSWER[rule.fault](rule, request, await answering(request))
    if rule.is_executed:
        await answering(request)
    return await WITHOUT_ANSWER[rule.fault](rule, request)


async def _delay(rule: Rule, _: web.Request, answer: web.StreamResponse) -> web.StreamResponse:
    await asyncio.sleep(_seconds(rule, 1.0))
    return answer


async def _slow(rule: Rule, request: web.Request, answer: web.StreamResponse) -> web.StreamResponse:
    body = _body(answer)
    rate = max(rule.bytes or 1, 1)
    step = max(rate // TICKS, 1)
    stream = await _begin(request, answer, len(body))
    for at in range(0, len(body), step):
        if not await _sent(stream, body[at : at + step]):
            break
        await asyncio.sleep(step / rate)
    return stream


async def _reset_mid_body(_: Rule, request: web.Request, answer: web.StreamResponse) -> web.StreamResponse:
    body = _body(answer)
    stream = await _begin(request, answer, len(body))
    await _sent(stream, body[: len(body) // 2])
    _reset_connection(request)
    return stream


async def _huge(rule: Rule, request: web.Request, answer: web.StreamResponse) -> web.StreamResponse:
    """The real beginning, so that it looks promising, and then ever more."""
    length = HUGE_BYTES if rule.bytes is None else rule.bytes
    stream = await _begin(request, answer, None)
    start = _body(answer)[: min(BLOCK // 2, length or BLOCK)]
    sent, alive = len(start), await _sent(stream, start)
    while alive and (length == 0 or sent < length):
        block = bytes(BLOCK if length == 0 else min(BLOCK, length - sent))
        alive = await _sent(stream, block)
        sent += len(block)
    return stream


async def _hang(rule: Rule, request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(_seconds(rule, LONGEST_HANG))  # cancelled when the client leaves
    if request.transport is not None:
        request.transport.close()
    return web.Response()


async def _reset(_: Rule, request: web.Request) -> web.StreamResponse:
    _reset_connection(request)
    return web.Response()


async def _status(rule: Rule, request: web.Request) -> web.StreamResponse:
    code = rule.code or 500
    return answer_of(code, _complaint(rule, request, f"the sandbox plays status {code}"), rule.sent_headers)


async def _html(rule: Rule, _: web.Request) -> web.StreamResponse:
    page = rule.body if isinstance(rule.body, str) else HTML
    return answer_of(rule.code or 200, page, {"Content-Type": "text/html; charset=utf-8"} | rule.sent_headers)


async def _json_200(rule: Rule, request: web.Request) -> web.StreamResponse:
    return answer_of(
        rule.code or 200, _complaint(rule, request, "the sandbox plays an error at 200"), rule.sent_headers
    )


async def _loading(rule: Rule, request: web.Request) -> web.StreamResponse:
    model = request[CALL].target.model
    loading = {"error": f"Model {model} is currently loading", "estimated_time": _seconds(rule, 20.0)}
    return answer_of(rule.code or 503, loading if rule.body is None else rule.body, rule.sent_headers)


WITH_ANSWER = {"delay": _delay, "slow": _slow, "reset_mid_body": _reset_mid_body, "huge": _huge}
WITHOUT_ANSWER = {
    "hang": _hang,
    "reset": _reset,
    "status": _status,
    "html": _html,
    "json_200": _json_200,
    "loading": _loading,
}


def _seconds(rule: Rule, default: float) -> float:
    return default if rule.seconds is None else rule.seconds


def _complaint(rule: Rule, request: web.Request, text: str) -> object:
    """The rule's body, or one in the shape of the upstream's own errors."""
    return {COMPLAINT_KEY.get(request[CALL].upstream, "error"): text} if rule.body is None else rule.body


def _body(answer: web.StreamResponse) -> bytes:
    """The bytes of a whole answer. Every stand-in gives whole ones; streams are made in this module only."""
    body = answer.body if isinstance(answer, web.Response) else None
    return bytes(body) if isinstance(body, bytes | bytearray) else b""


async def _begin(request: web.Request, answer: web.StreamResponse, length: int | None) -> web.StreamResponse:
    headers = {name: value for name, value in answer.headers.items() if name.lower() != "content-length"}
    stream = web.StreamResponse(status=answer.status, headers=headers)
    stream.content_length = length
    await stream.prepare(request)
    return stream


async def _sent(stream: web.StreamResponse, data: bytes) -> bool:
    """Whether the client was still there to take `data`."""
    try:
        await stream.write(data)
    except ConnectionError:
        return False
    return True


def _reset_connection(request: web.Request) -> None:
    """Close with an RST: with a linger time of zero the kernel throws away what is unsent and says so."""
    if request.transport is None:
        return
    connection = request.transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.transport.abort()
