"""All the way: a router, the real providers and strict stand-ins, over sockets."""

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

from imagegate.runtime.errors import Reason
from imagegate.runtime.models import Model
from imagegate.sandbox.app import Pace, Sandbox, serving
from imagegate.sandbox.huggingface_models import World
from imagegate.testing import ServedRouter, serving_router, told
from imagegate.testing.sandboxed import serving_sandboxed
from imagegate.v1 import catalog_pb2, catalog_pb2_grpc, generation_pb2, router_pb2

from .made_up import Request, request_for
from .sent import problems, read_back

QUICK = Pace(fal_queue=0.0, fal_run=0.0, automatic1111_step=0.0)
# A key of an account that may use every model.
ENVIRON = {"HUGGINGFACE_API_KEY": "hf_pro_sandbox_account"}
# No catalogue has it, and Hugging Face serves it.
OUTSIDE = "huggingface:stabilityai/stable-diffusion-3-medium-diffusers"
# Drawing takes time; larger sizes are asked for now and then only.
SMALL, LARGE, LARGE_SHARE = 768, 4096, 0.1
AT_ONCE = 4
SECONDS = 100.0


@dataclass(slots=True)
class Call:
    """One request and what came of it; `answer` is None where it was refused."""

    seed: str
    model: Model
    request: Request
    explained: router_pb2.Prospect = field(default_factory=router_pb2.Prospect)
    answer: generation_pb2.GenerateResponse | None = None
    refusal: Reason | None = None


@asynccontextmanager
async def everything(world: World) -> AsyncIterator[tuple[Sandbox, ServedRouter, Mapping[str, Model]]]:
    """The sandbox, the router, and by the name to ask for each model that is served in this world."""
    async with (
        serving(world=world, pace=QUICK) as sandbox,
        serving_sandboxed(sandbox=sandbox, environ=ENVIRON) as served,
        serving_router(served.targets, {"default": ["huggingface/flux-schnell"]}) as router,
        grpc.aio.insecure_channel(router.target) as channel,
    ):
        catalog = catalog_pb2_grpc.CatalogServiceStub(channel)
        models = {}
        for each in (await catalog.ListModels(catalog_pb2.ListModelsRequest(), timeout=10)).models:
            name = f"{each.provider}/{each.key}"
            check = await catalog.CheckModel(catalog_pb2.CheckModelRequest(name=name), timeout=10)
            if each.enabled and not check.reason and catalog_pb2.TASK_TEXT_TO_IMAGE in each.tasks:
                models[name] = Model.from_proto(each)
        outside = await catalog.GetModel(catalog_pb2.GetModelRequest(name=OUTSIDE), timeout=10)
        yield sandbox, router, {**models, OUTSIDE: Model.from_proto(outside)}


async def test_what_arrives_is_what_is_told(call_seeds: Sequence[str]) -> None:
    """R1, R2, P2, P4: what reaches an upstream is what was asked for or what the answer tells, whatever is asked of
    whom; Explain tells the same beforehand; what may not be changed is refused, and nothing of it arrives.
    """
    part = int(call_seeds[0].rpartition("/")[2])
    world: World = "2025" if part % 2 else "today"
    async with everything(world) as (sandbox, router, models), router.stubs() as (face, asking):
        calls = [made_up(seed, models) for seed in call_seeds]
        slots = asyncio.Semaphore(AT_ONCE)

        async def make(call: Call) -> None:
            async with slots:
                [call.explained] = (await asking.Explain(call.request, timeout=SECONDS)).candidates
                try:
                    call.answer = await face.Generate(call.request, timeout=SECONDS)
                except grpc.aio.AioRpcError as error:
                    failure = told(error)
                    call.refusal = Reason.from_proto(failure.attempts[0].skipped.reason or failure.attempts[0].reason)

        await asyncio.gather(*(make(call) for call in calls))
        arrived = by_prompt(sandbox)
    found = {call.seed: wrong for call in calls if (wrong := judged(call, arrived[call.request.prompt]))}
    assert not found, "\n".join(f"{seed}: {wrong}" for seed, wrong in found.items())
    assert sum(call.answer is not None for call in calls) > len(calls) / 2


def made_up(seed: str, models: Mapping[str, Model]) -> Call:
    """A request for one of the models; its prompt, with a number in it, is nobody else's."""
    dice = random.Random(seed)  # noqa: S311 it must repeat
    name = dice.choice(sorted(models))
    largest = LARGE if dice.random() < LARGE_SHARE else SMALL
    request = request_for(dice, models[name], largest=largest)
    request.model = name
    if dice.random() < 0.2:
        request.count = 2
    return Call(seed, models[name], request)


def by_prompt(sandbox: Sandbox) -> Mapping[str, list[Mapping[str, Any]]]:
    """The bodies of all requests for pictures that arrived, by their prompt."""
    arrived = defaultdict(list)
    for asked in sandbox.requests():
        body = asked["body"]
        if asked["method"] == "POST" and isinstance(body, dict):
            arrived[str(read_back(body)[0].get("prompt"))].append(body)
    return arrived


def judged(call: Call, bodies: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is wrong with what came of a call."""
    if call.answer is None:
        foretold = Reason.from_proto(call.explained.skipped.reason)
        if not call.refusal is foretold is Reason.UNSUPPORTED or bodies:
            return [f"it failed with {call.refusal}, {len(bodies)} bodies arrived; explained as {call.explained}"]
        return []
    adjustments = [each for each in call.answer.adjustments if not each.parameter.startswith("output.")]
    pictures = call.answer.images
    count = call.request.count or 1
    per_body = count if call.model.provider == "automatic1111" else 1
    found = [] if len(pictures) == count == len(bodies) * per_body else [f"{len(bodies)} arrived, {len(pictures)} made"]
    seeds = {picture.seed for picture in pictures if picture.HasField("seed")}
    for body in bodies:
        sent = read_back(body)[0]
        seed = sent.get("seed")
        if seed is not None and seed not in seeds:
            found.append(f"seed {seed} was sent, and told {seeds}")
        is_first = seed == pictures[0].seed  # picture i has seed + i
        asked = call.request if is_first else without_seed(call.request)
        told_of_it = [each for each in adjustments if is_first or each.parameter != "seed"]
        found += problems(asked, call.model, body, told_of_it, seed=int(seed or 0))
        size = (sent.get("width"), sent.get("height"))
        if None not in size and any((each.width, each.height) != size for each in pictures):
            found.append(f"a picture of {size} was asked for, and another one came")
    if adjustments != list(call.explained.adjustments):
        found.append(f"explained were {call.explained.adjustments}, and told {adjustments}")
    return found


def without_seed(request: Request) -> Request:
    other = Request()
    other.CopyFrom(request)
    other.ClearField("seed")
    return other
