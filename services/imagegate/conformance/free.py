"""Duties that make no picture: health, the catalogue, and requests that are refused before anything is sent."""

from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2

from imagegate.conformance import asking
from imagegate.conformance.catalogue import read_catalogue
from imagegate.conformance.duty import Bench, Duty
from imagegate.conformance.face import CHECK, CHECK_MODEL, GET_MODEL, LIST_MODELS, Face
from imagegate.conformance.judging import Expected, failure_problems, request_id_problems
from imagegate.conformance.row import Finding
from imagegate.conformance.told import Told
from imagegate.runtime.errors import Dispatch, Reason
from imagegate.runtime.metadata import REQUEST_ID_KEY
from imagegate.runtime.models import Catalogue
from imagegate.runtime.nearest import nearest
from imagegate.v1 import catalog_pb2, error_pb2, generation_pb2

UNIMPLEMENTED = "UNIMPLEMENTED"
HEALTH = "health"
CATALOGUE = "catalogue"
HEALTH_EXPECTED = 'SERVING for ""'
CATALOGUE_EXPECTED = "one provider, models that a router can fit requests to"
MODEL_NOT_FOUND = Expected((Reason.MODEL_NOT_FOUND,))


async def health(face: Face, timeout: float) -> Finding:
    """Whether it says that it serves, which is what load balancers ask."""
    told = await face.call(CHECK, health_pb2.HealthCheckRequest(), timeout).told()
    answer = told.only(health_pb2.HealthCheckResponse)
    if answer is None:
        return Finding(told.summary(), [f"health is not told: {told.code}"])
    name = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    return Finding(name, [] if name == "SERVING" else ["it does not serve"])


async def list_models(face: Face, timeout: float) -> Told:
    """What it says that it offers, or that it does not tell us."""
    return await face.call(LIST_MODELS, catalog_pb2.ListModelsRequest(), timeout).told()


def catalogue(told: Told) -> tuple[Catalogue | None, catalog_pb2.ListModelsResponse, Finding]:
    """What it offers, as it was told, and what is wrong with that."""
    listed = told.only(catalog_pb2.ListModelsResponse)
    if listed is None:
        return None, catalog_pb2.ListModelsResponse(), Finding(told.summary(), [f"ListModels failed: {told.message}"])
    known, problems = read_catalogue(listed)
    problems += request_id_problems(told, "")
    return known, listed, Finding(f"{len(listed.models)} models", problems)


async def get_model(bench: Bench) -> Finding:
    """Every name of every model finds it."""
    problems = []
    for model in bench.catalogue.models:
        for name in (f"{bench.provider}/{model.key}", *model.names):
            told = await bench.face.call(GET_MODEL, catalog_pb2.GetModelRequest(name=name), bench.timeout).told()
            found = told.only(catalog_pb2.Model)
            if found is None or found.key != model.key:
                problems.append(f"{name} finds {told.summary() if found is None else found.key!r}")
    return Finding(f"{len(bench.catalogue.models)} models found", problems)


async def get_unknown_model(bench: Bench) -> Finding:
    """A name that no model has is answered with those that look like it."""
    name = asking.misspelt(bench.catalogue, bench.model)
    told = await bench.face.call(GET_MODEL, catalog_pb2.GetModelRequest(name=name), bench.timeout).told()
    return Finding(
        told.summary(), [*failure_problems(told, MODEL_NOT_FOUND, bench.provider), *_unnamed(bench, told, name)]
    )


async def generate_unknown_model(bench: Bench) -> Finding:
    """The same for a picture: nothing is sent, and the nearest names are told."""
    request = bench.request("unknown-model", asking.misspelt(bench.catalogue, bench.model))
    told = await bench.generate(request).told()
    problems = failure_problems(told, MODEL_NOT_FOUND, bench.provider, request.request_id)
    return Finding(told.summary(), [*problems, *_unnamed(bench, told, request.model), *_sent(told)])


async def bad_fields(bench: Bench) -> Finding:
    """Every bad field of a request is told at once, as google.rpc.BadRequest."""
    request = generation_pb2.GenerateRequest()
    request.CopyFrom(asking.BAD)
    request.request_id = f"conformance-{bench.token}-bad-fields"
    told = await bench.generate(request).told()
    problems = failure_problems(told, Expected((Reason.INVALID_REQUEST,)), bench.provider, request.request_id)
    named = {violation.field for violation in _bad_request(told).field_violations}
    missing = [name for name in asking.BAD_FIELDS if name not in named]
    problems += [f"BadRequest does not name {', '.join(missing)}"] if missing else []
    return Finding(f"{told.summary()}: {', '.join(sorted(named))}", [*problems, *_sent(told)])


async def refused_change(bench: Bench) -> Finding:
    """What a model cannot take as asked is refused where the request forbids changes, naming the parameter."""
    fields = asking.unfit(bench.model)
    if fields is None:
        return Finding.not_tried(f"{bench.model.key} takes every value that a request may have")
    (name,) = fields
    expected = Expected((Reason.UNSUPPORTED,), message=name)
    problems, came = [], []
    for how in ("on_unsupported", "must_keep"):
        request = bench.request(f"refused-change-{how}", fields=fields)
        if how == "must_keep":
            request.must_keep.append(name)
        else:
            request.on_unsupported = generation_pb2.ON_UNSUPPORTED_REFUSE
        told = await bench.generate(request).told()
        came.append(told.summary())
        found = [*failure_problems(told, expected, bench.provider, request.request_id), *_sent(told)]
        problems += [f"{how}: {problem}" for problem in found]
    return Finding(f"{name}: {came[0]}", problems)


async def request_id(bench: Bench) -> Finding:
    """An id in the metadata is taken where the request has none, and one is drawn where neither has."""
    ours = f"conformance-{bench.token}-metadata"
    name = asking.misspelt(bench.catalogue, bench.model)
    request = generation_pb2.GenerateRequest(prompt="x", model=name)
    given = await bench.generate(request, metadata=((REQUEST_ID_KEY, ours),)).told()
    drawn = await bench.generate(request).told()
    problems = [*request_id_problems(given, ours), *(f"drawn: {each}" for each in request_id_problems(drawn, ""))]
    return Finding(f"{given.trailers.get(REQUEST_ID_KEY)!r}, {drawn.trailers.get(REQUEST_ID_KEY)!r}", problems)


async def check_model(bench: Bench) -> Finding:
    """What the upstream says of a model now; everything but an unknown name is told in the answer."""
    asked = catalog_pb2.CheckModelRequest(name=bench.model.key)
    told = await bench.face.call(CHECK_MODEL, asked, bench.timeout).told()
    if told.code == UNIMPLEMENTED:
        return Finding.not_offered()
    answer = told.only(catalog_pb2.ModelCheck)
    if answer is None:
        return Finding(told.summary(), [f"it failed: {told.message}"])
    due = {"provider": bench.provider, "model": bench.model.key}
    problems = [f"{name} is {getattr(answer, name)!r}" for name, value in due.items() if getattr(answer, name) != value]
    problems += [] if answer.upstream_model else ["upstream_model is empty"]
    problems += [] if not answer.reason or answer.message else ["it says no, and not why"]
    problems += request_id_problems(told, "")
    came = error_pb2.ErrorReason.Name(answer.reason).removeprefix("ERROR_REASON_") if answer.reason else "usable"
    return Finding(came, problems)


async def check_unknown_model(bench: Bench) -> Finding:
    """A name that no model has is the one thing that CheckModel fails for."""
    name = asking.misspelt(bench.catalogue, bench.model)
    told = await bench.face.call(CHECK_MODEL, catalog_pb2.CheckModelRequest(name=name), bench.timeout).told()
    if told.code == UNIMPLEMENTED:
        return Finding.not_offered()
    return Finding(told.summary(), failure_problems(told, MODEL_NOT_FOUND, bench.provider))


DUTIES = (
    Duty("get-model", "every model by provider/key, key, upstream id and alias", get_model),
    Duty("get-model/unknown", f"{MODEL_NOT_FOUND.summary()}, the nearest names", get_unknown_model),
    Duty("unknown-model", f"{MODEL_NOT_FOUND.summary()}, the nearest names, nothing sent", generate_unknown_model),
    Duty("bad-fields", "INVALID_ARGUMENT INVALID_REQUEST, BadRequest with every bad field", bad_fields),
    Duty("refused-change", "INVALID_ARGUMENT UNSUPPORTED naming the parameter, nothing sent", refused_change),
    Duty("request-id", f"{REQUEST_ID_KEY} in the trailers: the caller's, else a new one", request_id),
    Duty("check-model", "what the upstream says of the model", check_model),
    Duty("check-model/unknown", MODEL_NOT_FOUND.summary(), check_unknown_model),
)


def _unnamed(bench: Bench, told: Told, name: str) -> list[str]:
    near = nearest(name, [model.key for model in bench.catalogue.models])[0]
    return [] if near in told.message.replace(name, "") else [f"the message does not name {near}"]


def _sent(told: Told) -> list[str]:
    """What a record of an attempt says that was refused before anything was sent."""
    failure = told.failure
    if failure is None or not failure.attempts or failure.dispatch is Dispatch.NOT_SENT:
        return []
    return [f"dispatch is {failure.dispatch}, and nothing may be sent"]


def _bad_request(told: Told) -> error_details_pb2.BadRequest:
    found = error_details_pb2.BadRequest()
    status = told.status
    for detail in status.details if status is not None else ():
        if detail.Is(found.DESCRIPTOR):
            detail.Unpack(found)
    return found
