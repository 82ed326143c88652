"""A picture that an upstream does not take: nothing was asked for yet, so nothing is paid for and others may follow."""

import pytest

from imagegate.router.events import ChargeRisked
from imagegate.runtime.errors import Dispatch, Reason
from imagegate.sandbox.app import serving
from imagegate.testing import outcomes, picture, serving_router
from imagegate.testing.sandboxed import serving_sandboxed
from imagegate.v1 import generation_pb2, terms_pb2

from .rows import FAL
from .stage import PATIENT, ask, count

FIRST, SECOND = "fal/flux-dev", "fal/flux-lora"


def a_request(payment):
    """Image to image of a picture that is too large to go along: it does not compress."""
    request = generation_pb2.GenerateRequest(prompt="a lighthouse")
    request.image_to_image.image.data = picture(400, 400)
    request.routing.payment = payment
    return request


@pytest.mark.parametrize("payment", [terms_pb2.PAYMENT_PAY_ONCE, terms_pb2.PAYMENT_AVAILABLE])
@pytest.mark.parametrize("path", ["/fal/rest/*", "/fal/cdn/files/upload"])
async def test_the_next_candidate_begins_with_the_same_picture(path, payment):
    """R10, P3: an upload that breaks is NOT_SENT: the next candidate has the same picture, and one is paid for."""
    async with serving() as sandbox, serving_sandboxed([FAL], sandbox=sandbox) as served:
        sandbox.faults([{"upstream": "fal", "method": "POST", "path": path, "fault": "reset", "times": 1}])
        async with serving_router(served.targets, {"default": [FIRST, SECOND]}) as router:
            outcome = await ask(router, a_request(payment), PATIENT)
            assert outcomes(outcome.attempts) == ["fal UPSTREAM_ERROR", "fal OK"], outcome
            assert count(router, ChargeRisked) == 0
        first = outcome.attempts[0]
        assert (Dispatch.from_proto(first.dispatch), first.billed, first.phase) == (Dispatch.NOT_SENT, False, "upload")
        assert outcome.answer is not None
        assert (outcome.answer.model, outcome.answer.images[0].width) == ("flux-lora", 400)
        assert [each["model"] for each in sandbox.billing()] == ["fal-ai/flux-lora/image-to-image"]


@pytest.mark.parametrize(
    ("code", "reason"),
    [(503, Reason.OVERLOADED), (401, Reason.CREDENTIALS_REJECTED), (413, Reason.UPSTREAM_REJECTED_INPUT)],
)
async def test_alone(code, reason):
    """R5, R10: where nothing else is there the reason is the final one, and fal was asked for nothing."""
    async with serving() as sandbox, serving_sandboxed([FAL], sandbox=sandbox) as served:
        sandbox.faults([{"upstream": "fal", "path": "/fal/rest/*", "fault": "status", "code": code}])
        async with serving_router(served.targets, {"default": [FIRST]}) as router:
            outcome = await ask(router, a_request(terms_pb2.PAYMENT_UNSPECIFIED), PATIENT)
        assert outcome.failure is not None
        assert (outcome.failure.reason, outcome.reasons) == (reason, [f"fal {reason}"])
        assert not [r for r in sandbox.requests() if r["path"].startswith("/fal/queue")]
