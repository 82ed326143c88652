"""What web backends are told of how providers and models are doing."""

from google.protobuf.duration_pb2 import Duration

from imagegate.edge.backend.status import candidates_to_check, image_status, model_status
from imagegate.v1 import catalog_pb2, error_pb2, router_pb2

ROUTE = router_pb2.RouteStatus(
    name="web", candidates=["fal/x", "huggingface/a", "huggingface/b", "automatic1111/local"]
)


def provider(name: str, **said: object) -> router_pb2.ProviderStatus:
    """A provider that is well, but for what is said."""
    fields = {"enabled": True, "reachable": True, "target": "10.0.0.7:50051", **said}
    return router_pb2.ProviderStatus(name=name, **fields)  # type: ignore[arg-type]


def test_the_models_are_those_of_a_request_without_one() -> None:
    """P9: the first of each in the route web, wherever it stands there."""
    status = router_pb2.RouterStatus(
        routes=[router_pb2.RouteStatus(name="default", candidates=["huggingface/z"]), ROUTE]
    )
    assert candidates_to_check(status) == ["huggingface/a", "automatic1111/local"]
    assert candidates_to_check(router_pb2.RouterStatus()) == []


def test_who_is_not_there_is_not_available_and_says_why() -> None:
    """R11, P9: not configured, no model in the route, off, and without an answer."""
    nothing = image_status(router_pb2.RouterStatus(), {}, None)
    assert (nothing.huggingface.available, nothing.huggingface.enabled) == (False, False)
    assert nothing.stable_diffusion.reason == "the configuration has no provider called automatic1111"
    unrouted = image_status(router_pb2.RouterStatus(providers=[provider("huggingface")]), {}, None)
    assert unrouted.huggingface.reason == "the route web has no model of huggingface"
    away = provider("huggingface", reachable=False, problem="no connection to 10.0.0.7:50051")
    told = image_status(router_pb2.RouterStatus(providers=[away], routes=[ROUTE]), {}, None)
    assert told.huggingface.reason == "its service does not answer"
    assert "10.0.0.7" not in str(told.shown())


def test_what_the_upstream_says_now_counts_as_much_as_what_was_seen() -> None:
    """R8, R11, P9: a webui that is down, or a model that is being loaded, is not available, and says until when."""
    status = router_pb2.RouterStatus(providers=[provider("huggingface"), provider("automatic1111")], routes=[ROUTE])
    checks = {
        "huggingface/a": catalog_pb2.ModelCheck(
            upstream_model="owner/A",
            reason=error_pb2.ERROR_REASON_MODEL_LOADING,
            message="is being loaded",
            ready_in=Duration(seconds=20),
        ),
        "automatic1111/local": catalog_pb2.ModelCheck(
            reason=error_pb2.ERROR_REASON_UNREACHABLE, message="no connection", remedy="start it"
        ),
    }
    told = image_status(status, checks, "http://webui")
    assert told.huggingface.model == "owner/A"
    assert told.huggingface.reason == "MODEL_LOADING: is being loaded; ready in about 20 s"
    assert told.stable_diffusion.reason == "UNREACHABLE: no connection; try: start it"
    assert image_status(status, {}, None).huggingface.model == "a"


def test_a_model_outside_the_catalogue_has_no_standing() -> None:
    """P8: what its upstream says is told; what nobody has seen is null."""
    check = catalog_pb2.ModelCheck(provider="fal", model="fal-ai/new", upstream_model="fal-ai/new", exists=True)
    told = model_status(check, router_pb2.RouterStatus(providers=[provider("fal")])).shown()
    assert (told["key"], told["available"], told["exists"], told["loaded"]) == ("fal/fal-ai/new", True, True, None)
    assert told["standing"] is None
