"""The rows of the fault matrix: what one attempt that meets a fault comes to.

Its reason, and the final code where nothing else is there; what the breakers make of it; whether the next candidate is
tried; how far the attempt got; and what it cost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from google.rpc import code_pb2

from imagegate.runtime.errors import Dispatch, Reason
from imagegate.sandbox.app import Pace
from imagegate.testing.fronts import forgetting, refusing

from .spoiling import (
    PICTURE,
    RESULT,
    STATUS,
    FrontMaker,
    Rule,
    a_gif,
    answers,
    by_an_ingress,
    by_another_checkpoint,
    compressed,
    nowhere,
    pictures,
    submission,
    untrusted,
    with_a_tail,
    without_the_last,
)

HF, FAL, WEBUI = "huggingface", "fal", "automatic1111"
ALL = (HF, FAL, WEBUI)
CHECKPOINT = "automatic1111/sd_xl_base_1.0"


class Effect(Enum):
    """What the router makes of one attempt, as its status tells it."""

    DELIVERED = "a success"
    NEUTRAL = "nothing"
    COUNTS = "a failure of the model, pooled at its provider"
    COUNTS_AT_PROVIDER = "a failure of the provider"
    OPENS_PROVIDER = "the provider is left alone until somebody mends it"
    OPENS_MODEL = "the model is left alone until somebody mends it"
    GATES = "the provider is left alone for a while, which is no failure"
    COUNTS_AND_GATES = "a failure, and the provider is left alone for a while"
    WARMS = "the model is being loaded, which is no failure"


class GoesOn(Enum):
    """Whether the next candidate is tried."""

    YES = "yes"
    UNLESS_ONCE = "yes, but not where the request pays once: there may be a picture, and a bill"
    NO = "no"


@dataclass(frozen=True)
class Row:
    """One fault at one upstream.

    `asked` is how many pictures the upstream was asked for, `made` how many it made and would bill. `retry_after` are
    bounds in seconds, `says` is a word of the error or of what is told beside the picture.
    """

    id: str
    upstream: str
    what: str
    reason: Reason | None
    code: int
    effect: Effect
    goes_on: GoesOn
    dispatch: Dispatch
    billed: bool | None
    asked: int = 1
    made: int = 0
    retry_after: tuple[float, float] | None = None
    says: str = ""

    # How it comes about; {sandbox} in a variable is its address.
    rules: Sequence[Rule] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    front: FrontMaker | None = None
    pace: Pace = field(default_factory=Pace)
    webui_auth: str | None = None
    model: str = ""
    count: int = 1
    # Whether the picture is made from another one, which only a webui does here.
    from_picture: bool = False
    # Seconds of an attempt that hangs; of these the provider keeps a fifth for the upstream's last word.
    attempt: float = 0.8

    def __str__(self) -> str:
        return f"{self.id}-{self.upstream}-{self.what}".replace(" ", "-")

    @property
    def hangs(self) -> bool:
        """Whether time alone ends it."""
        return self.reason is Reason.TIMEOUT or any(rule["fault"] == "hang" for rule in self.rules)


# ── Kinds of rows ────────────────────────────────────────────────────────────────────────────────────────────────────

OK, UNAVAILABLE, EXHAUSTED = code_pb2.OK, code_pb2.UNAVAILABLE, code_pb2.RESOURCE_EXHAUSTED
INVALID, NOT_FOUND, TOO_LATE = code_pb2.INVALID_ARGUMENT, code_pb2.NOT_FOUND, code_pb2.DEADLINE_EXCEEDED


def delivered(id: str, upstream: str, what: str, **more: object) -> Row:
    """The picture comes all the same."""
    billed = upstream != WEBUI
    row = Row(id, upstream, what, None, OK, Effect.DELIVERED, GoesOn.NO, Dispatch.ACCEPTED, billed, made=1)
    return replace(row, **more)


def unreachable(id: str, upstream: str, what: str, **more: object) -> Row:
    """Nobody was there to hear it."""
    effect = Effect.COUNTS_AT_PROVIDER
    row = Row(
        id, upstream, what, Reason.UNREACHABLE, UNAVAILABLE, effect, GoesOn.YES, Dispatch.NOT_SENT, False, asked=0
    )
    return replace(row, **more)


def refused(id: str, upstream: str, what: str, reason: Reason, code: int, effect: Effect, **more: object) -> Row:
    """The upstream said no before it did anything."""
    return replace(Row(id, upstream, what, reason, code, effect, GoesOn.YES, Dispatch.REFUSED, False), **more)


def status(
    id: str,
    upstream: str,
    http: int,
    reason: Reason,
    code: int,
    effect: Effect,
    *,
    headers: Mapping[str, str] | None = None,
    body: object = None,
    **more: object,
) -> Row:
    """It said no by an HTTP status."""
    rules = submission(upstream, "status", code=http, headers=headers or {}, body=body)
    return refused(id, upstream, str(http), reason, code, effect, rules=rules, **more)


def bad_output(id: str, upstream: str, what: str, **more: object) -> Row:
    """It said yes, made something and will bill it, and nobody can use it."""
    billed, effect = upstream != WEBUI, Effect.COUNTS  # the webui is one's own
    row = Row(id, upstream, what, Reason.BAD_OUTPUT, UNAVAILABLE, effect, GoesOn.YES, Dispatch.ACCEPTED, billed, made=1)
    return replace(row, **more)


def unknown(id: str, upstream: str, what: str, reason: Reason = Reason.UPSTREAM_ERROR, **more: object) -> Row:
    """Nobody knows what became of it, nor, but for one's own machine, what it costs."""
    code = TOO_LATE if reason is Reason.TIMEOUT else UNAVAILABLE
    is_free = upstream == WEBUI
    goes_on, billed = (GoesOn.YES, False) if is_free else (GoesOn.UNLESS_ONCE, None)
    row = Row(id, upstream, what, reason, code, Effect.COUNTS, goes_on, Dispatch.UNKNOWN, billed, made=1)
    return replace(row, **more)


# ── The rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────

NO_CREDIT = {"error": "You have exceeded your monthly included credits for Inference Providers."}
LOADING = {"error": "Model x is currently loading", "estimated_time": 500}
POLICY = {"detail": [{"loc": ["body", "prompt"], "msg": "flagged", "type": "content_policy_violation"}]}

OF_THE_NETWORK = [
    *(unreachable("F1", each, "refused", front=lambda _url: refusing()) for each in ALL),
    *(unreachable("F2", each, "no address", front=nowhere) for each in ALL),
    *(unreachable("F3", each, "self-signed", front=untrusted) for each in ALL),
    *(unknown("F4", each, "reset", rules=submission(each, "reset")) for each in ALL),
    *(unknown("F4", each, "reset idle", rules=submission(each, "reset", executed=False), made=0) for each in ALL),
    *(unknown("F5", each, "reset in the body", rules=submission(each, "reset_mid_body")) for each in ALL),
    unknown(
        "F5", FAL, "reset in the picture", rules=[{**PICTURE, "fault": "reset_mid_body"}], dispatch=Dispatch.ACCEPTED
    ),
    delivered("F5", FAL, "reset in the picture twice", rules=[{**PICTURE, "fault": "reset_mid_body", "times": 2}]),
    delivered("F5", FAL, "reset in the result twice", rules=[{**RESULT, "fault": "reset_mid_body", "times": 2}]),
    delivered("F5", FAL, "reset at every question", rules=[{**STATUS, "fault": "reset"}]),
    *(unknown("F6", each, "a byte a second", Reason.TIMEOUT, rules=submission(each, "slow")) for each in ALL),
    unknown(
        "F6",
        FAL,
        "a picture of a byte a second",
        Reason.TIMEOUT,
        rules=[{**PICTURE, "fault": "slow"}],
        dispatch=Dispatch.ACCEPTED,
    ),
    # The picture is made meanwhile, so there is time for that also where the machine is busy with other tests.
    *(unknown("F7", each, "hangs", Reason.TIMEOUT, rules=submission(each, "hang"), attempt=2.0) for each in ALL),
    *(
        unknown("F7", each, "hangs idle", Reason.TIMEOUT, rules=submission(each, "hang", executed=False), made=0)
        for each in ALL
    ),
    # Where the upstream can be asked its own word makes the difference: cancelled in time, or finished before.
    unknown(
        "F7",
        FAL,
        "works for too long",
        Reason.TIMEOUT,
        pace=Pace(fal_run=60),
        attempt=2.5,
        dispatch=Dispatch.ACCEPTED,
        billed=False,
        goes_on=GoesOn.YES,
        made=0,
    ),
    delivered("F7", FAL, "hangs at the question", rules=[{**STATUS, "fault": "hang"}], attempt=2.5),
    *(unknown("F9", each, "stale connection", front=forgetting, asked=0, made=0) for each in ALL),
]

# Hugging Face's router, where Replicate or together makes the picture.
REPLICATED = {"HUGGINGFACE_INFERENCE_PROVIDER": "replicate"}
TOGETHER = {"HUGGINGFACE_INFERENCE_PROVIDER": "together"}
DELIVERED = {"upstream": HF, "method": "GET", "path": "/replicate-delivery/*"}
FLAGGED = "All generated images contained NSFW content. Try running it again with a different prompt."


def predicted(id: str, what: str, reason: Reason, code: int, effect: Effect, body: object, **more: object) -> Row:
    """Replicate took the work, and says how it stands without a picture."""
    rules = submission(HF, "json_200", code=201, body=body, executed=False)
    told = refused(id, HF, what, reason, code, effect, rules=rules, environ=REPLICATED, dispatch=Dispatch.ACCEPTED)
    return replace(told, **more)


BEHIND_THE_ROUTER = [
    unknown(
        "F5",
        HF,
        "reset in replicate's picture",
        rules=[{**DELIVERED, "fault": "reset_mid_body"}],
        environ=REPLICATED,
        dispatch=Dispatch.ACCEPTED,
    ),
    delivered(
        "F5",
        HF,
        "reset in replicate's picture twice",
        rules=[{**DELIVERED, "fault": "reset_mid_body", "times": 2}],
        environ=REPLICATED,
    ),
    predicted(
        "F10",
        "a prediction that failed",
        Reason.UPSTREAM_ERROR,
        UNAVAILABLE,
        Effect.COUNTS,
        {"status": "failed", "error": "CUDA error", "output": None},
    ),
    predicted(
        "F10",
        "a prediction that starts",
        Reason.TIMEOUT,
        TOO_LATE,
        Effect.COUNTS,
        {"status": "starting", "error": None, "output": None},
        billed=None,
        goes_on=GoesOn.UNLESS_ONCE,
    ),
    bad_output("F11", HF, "HTML by replicate", rules=submission(HF, "html"), environ=REPLICATED),
    bad_output("F11", HF, "HTML as replicate's picture", rules=[{**DELIVERED, "fault": "html"}], environ=REPLICATED),
    bad_output("F10", HF, "an error at 200 by together", rules=submission(HF, "json_200"), environ=TOGETHER),
    bad_output("F12", HF, "half a picture by together", rules=submission(HF, "truncate"), environ=TOGETHER),
    bad_output("F18", HF, "bomb by together", rules=submission(HF, "bomb"), environ=TOGETHER),
    predicted(
        "F31",
        "flagged by replicate",
        Reason.CONTENT_REJECTED,
        INVALID,
        Effect.NEUTRAL,
        {"status": "failed", "error": FLAGGED, "output": []},
        goes_on=GoesOn.NO,
    ),
]

OF_THE_ANSWER = [
    refused(
        "F10",
        HF,
        "no credit at 200",
        Reason.OUT_OF_CREDIT,
        UNAVAILABLE,
        Effect.OPENS_PROVIDER,
        rules=submission(HF, "json_200", body=NO_CREDIT, executed=False),
        dispatch=Dispatch.ACCEPTED,
    ),
    refused(
        "F10",
        HF,
        "loading at 200",
        Reason.MODEL_LOADING,
        UNAVAILABLE,
        Effect.WARMS,
        rules=submission(HF, "json_200", body=LOADING, executed=False),
        dispatch=Dispatch.ACCEPTED,
        retry_after=(500, 500),
    ),
    *(bad_output("F10", each, "an error at 200", rules=submission(each, "json_200")) for each in (HF, WEBUI)),
    unknown("F10", FAL, "no job at 200", Reason.BAD_OUTPUT, rules=submission(FAL, "json_200")),
    bad_output("F10", FAL, "an error as the result", rules=[{**RESULT, "fault": "json_200"}]),
    *(bad_output("F11", each, "HTML", rules=submission(each, "html")) for each in (HF, WEBUI)),
    unknown("F11", FAL, "HTML", Reason.BAD_OUTPUT, rules=submission(FAL, "html")),
    bad_output("F11", FAL, "HTML as the result", rules=[{**RESULT, "fault": "html"}]),
    bad_output("F11", FAL, "HTML as the picture", rules=[{**PICTURE, "fault": "html"}]),
    delivered("F11", FAL, "HTML as the picture twice", rules=[{**PICTURE, "fault": "html", "times": 2}]),
    *(bad_output("F12", each, "half a picture", rules=submission(each, "truncate")) for each in ALL),
    delivered("F12", FAL, "half a picture twice", rules=[{**PICTURE, "fault": "truncate", "times": 2}]),
    *(delivered("F13", each, "another size", rules=submission(each, "wrong_size"), says="width") for each in ALL),
    Row(
        "F14",
        FAL,
        "black with a flag",
        Reason.CONTENT_REJECTED,
        INVALID,
        Effect.NEUTRAL,
        GoesOn.NO,
        Dispatch.ACCEPTED,
        billed=None,
        made=1,
        rules=submission(FAL, "black"),
    ),
    *(delivered("F15", each, "black", rules=submission(each, "black"), says="black") for each in (HF, WEBUI)),
    *(delivered("F15", each, "grey", rules=submission(each, "blank"), says="uniform") for each in ALL),
    *(bad_output("F16", each, "endless", rules=submission(each, "huge", bytes=0)) for each in (HF, WEBUI)),
    unknown("F16", FAL, "endless", Reason.BAD_OUTPUT, rules=submission(FAL, "huge", bytes=0)),
    bad_output("F16", FAL, "an endless picture", rules=[{**PICTURE, "fault": "huge", "bytes": 0}]),
    *(bad_output("F17", each, "gzip bomb", front=answers(compressed)) for each in ALL),
    *(bad_output("F18", each, "bomb", rules=submission(each, "bomb")) for each in ALL),
    *(bad_output("F19", each, "a GIF", front=pictures(a_gif)) for each in ALL),
    *(bad_output("F19", each, "a tail", front=pictures(with_a_tail)) for each in ALL),
    bad_output("F20", WEBUI, "another checkpoint", front=answers(by_another_checkpoint), model=CHECKPOINT),
    *(
        delivered("F21", each, "one of two", rules=submission(each, "truncate", times=1), count=2, asked=2, made=2)
        for each in (HF, FAL)
    ),
    delivered("F21", WEBUI, "one of two", front=answers(without_the_last), count=2, says="count"),
]

# Hugging Face, where a dedicated endpoint runs our handler.
BY_A_HANDLER = {"HUGGINGFACE_ENDPOINTS": "sdxl+handler={sandbox}/huggingface-endpoint/handler"}
BROKEN = {"error": "the handler failed: OutOfMemoryError: CUDA out of memory"}

# A picture made from another one fails as one made from words.
FROM_A_PICTURE = [
    replace(row, from_picture=True)
    for row in (
        unknown("F5", WEBUI, "reset of img2img", rules=submission(WEBUI, "reset", executed=True)),
        bad_output("F12", WEBUI, "half a picture of img2img", rules=submission(WEBUI, "truncate", path="*/img2img")),
        refused(
            "F30",
            WEBUI,
            "no init image",
            Reason.UPSTREAM_REJECTED_INPUT,
            INVALID,
            Effect.NEUTRAL,
            rules=submission(
                WEBUI,
                "status",
                path="*/img2img",
                code=404,
                body={"error": "HTTPException", "detail": "Init image not found", "body": "", "errors": ""},
            ),
        ),
    )
]

SOON = (0.5, 1.5)
OF_THE_UPSTREAM = [
    refused(
        "F25",
        HF,
        "400 by a handler that failed",
        Reason.UPSTREAM_ERROR,
        UNAVAILABLE,
        Effect.COUNTS,
        rules=submission("huggingface-endpoint", "status", code=400, body=BROKEN),
        environ=BY_A_HANDLER,
        model="huggingface/sdxl",
        says="CUDA out of memory",
    ),
    *(
        status(
            "F22",
            each,
            429,
            Reason.RATE_LIMITED,
            EXHAUSTED,
            Effect.GATES,
            headers={"Retry-After": "7"},
            retry_after=(7, 7),
        )
        for each in ALL
    ),
    *(status("F23", each, 429, Reason.RATE_LIMITED, EXHAUSTED, Effect.GATES, retry_after=SOON) for each in ALL),
    refused(
        "F24",
        HF,
        "loading",
        Reason.MODEL_LOADING,
        UNAVAILABLE,
        Effect.WARMS,
        rules=submission(HF, "loading", seconds=500),
        retry_after=(500, 500),
    ),
    *(status("F25", each, 500, Reason.UPSTREAM_ERROR, UNAVAILABLE, Effect.COUNTS) for each in ALL),
    *(
        status("F25", each, 503, Reason.OVERLOADED, UNAVAILABLE, Effect.COUNTS_AND_GATES, retry_after=SOON)
        for each in ALL
    ),
    *(
        unknown("F26", each, str(http), rules=submission(each, "status", code=http, executed=True))
        for each in (HF, WEBUI)
        for http in (502, 504)
    ),
    *(unknown("F26", each, "502 idle", rules=submission(each, "status", code=502), made=0) for each in (HF, WEBUI)),
    unknown("F26", FAL, "502 by an ingress", front=answers(by_an_ingress)),
    status("F26", FAL, 502, Reason.UPSTREAM_ERROR, UNAVAILABLE, Effect.COUNTS),  # fal's own: it names the request
]

KEY, CREDIT = Reason.CREDENTIALS_REJECTED, Reason.OUT_OF_CREDIT
OF_OUR_ACCOUNT = [
    *(status("F27", each, 401, KEY, UNAVAILABLE, Effect.OPENS_PROVIDER) for each in ALL),
    *(status("F27", each, 403, KEY, UNAVAILABLE, Effect.OPENS_PROVIDER) for each in ALL),
    refused(
        "F27",
        FAL,
        "revoked key",
        KEY,
        UNAVAILABLE,
        Effect.OPENS_PROVIDER,
        environ={"FAL_KEY": "revoked:key"},
    ),
    refused(
        "F27",
        HF,
        "revoked key",
        KEY,
        UNAVAILABLE,
        Effect.OPENS_PROVIDER,
        environ={"HUGGINGFACE_API_KEY": "hf_revoked"},
        dispatch=Dispatch.NOT_SENT,
        asked=0,
    ),
    refused(
        "F27",
        WEBUI,
        "wrong password",
        KEY,
        UNAVAILABLE,
        Effect.OPENS_PROVIDER,
        webui_auth="me:right",
        environ={"SD_API_AUTH": "me:wrong"},
        dispatch=Dispatch.NOT_SENT,
        asked=0,
    ),
    refused("F28", FAL, "no credit", CREDIT, UNAVAILABLE, Effect.OPENS_PROVIDER, environ={"FAL_KEY": "broke:key"}),
    refused(
        "F28",
        HF,
        "no credit",
        CREDIT,
        UNAVAILABLE,
        Effect.OPENS_PROVIDER,
        environ={"HUGGINGFACE_API_KEY": "hf_broke"},
    ),
    refused(
        "F28",
        HF,
        "PRO only",
        Reason.MODEL_ACCESS_DENIED,
        UNAVAILABLE,
        Effect.OPENS_MODEL,
        model="huggingface/flux-dev",
    ),
]

MISSING, INPUT, CONTENT = Reason.MODEL_NOT_FOUND, Reason.UPSTREAM_REJECTED_INPUT, Reason.CONTENT_REJECTED
OF_THE_REQUEST = [
    *(status("F29", each, http, MISSING, NOT_FOUND, Effect.OPENS_MODEL) for each in (HF, FAL) for http in (404, 410)),
    status("F29", WEBUI, 404, Reason.UNREACHABLE, UNAVAILABLE, Effect.COUNTS_AT_PROVIDER, says="--api"),
    *(status("F30", each, http, INPUT, INVALID, Effect.NEUTRAL) for each in ALL for http in (400, 413, 422)),
    *(status("F31", each, 451, CONTENT, INVALID, Effect.NEUTRAL, goes_on=GoesOn.NO) for each in (HF, FAL)),
    status(
        "F31",
        HF,
        400,
        CONTENT,
        INVALID,
        Effect.NEUTRAL,
        body={"error": "content_policy_violation"},
        goes_on=GoesOn.NO,
    ),
    status("F31", FAL, 422, CONTENT, INVALID, Effect.NEUTRAL, body=POLICY, goes_on=GoesOn.NO),
]

ROWS = [
    *OF_THE_NETWORK,
    *BEHIND_THE_ROUTER,
    *OF_THE_ANSWER,
    *FROM_A_PICTURE,
    *OF_THE_UPSTREAM,
    *OF_OUR_ACCOUNT,
    *OF_THE_REQUEST,
]
