"""Which models are listed."""

import pytest

from imagegate.runtime.errors import Failure, Reason
from imagegate.runtime.listing import chosen
from imagegate.runtime.models import Model
from imagegate.v1 import catalog_pb2

Request = catalog_pb2.ListModelsRequest


def model(key: str, **fields: object) -> Model:
    return Model.model_validate({"key": key, "display_name": key, "upstream_model": f"u/{key}", **fields})


MODELS = [
    model("draft", tier="free", use_case="Fast drafts, and prototypes"),
    model("pose", tier="pro", tasks=("control_openpose",), use_case="pictures that keep to a pose"),
    model("both", tier="pro", tasks=("text_to_image", "control_openpose"), use_case="drafts of a pose"),
]


@pytest.mark.parametrize(
    ("request_", "keys"),
    [
        (Request(), ["draft", "pose", "both"]),
        (Request(provider="whoever"), ["draft", "pose", "both"]),
        (Request(task=catalog_pb2.TASK_TEXT_TO_IMAGE), ["draft", "both"]),
        (Request(task=catalog_pb2.TASK_IDENTITY), []),
        (Request(tier="pro"), ["pose", "both"]),
        (Request(tier="pro", task=catalog_pb2.TASK_TEXT_TO_IMAGE), ["both"]),
        (Request(use_case="DRAFTS fast"), ["draft"]),
        (Request(use_case="pose, drafts!"), ["both"]),
        (Request(use_case="draft"), []),
        (Request(use_case="  "), ["draft", "pose", "both"]),
    ],
)
def test_a_model_is_listed_that_has_everything_that_is_asked_for(request_: Request, keys: list[str]) -> None:
    """P1: by task, by tier, and by whole words of the use case, in any order and case; all of them at once."""
    assert [each.key for each in chosen(request_, MODELS)] == keys


def test_what_there_is_not_is_refused_with_what_there_is() -> None:
    """P12: an unknown tier or task and an endless use case are told together, with what may be asked for."""
    with pytest.raises(Failure) as caught:
        chosen(Request(tier="gold", task=99, use_case="x" * 257), MODELS)  # type: ignore[arg-type]
    assert caught.value.reason is Reason.INVALID_REQUEST
    told = {each.field: each.description for each in caught.value.violations}
    assert told["tier"] == "'gold' is not one of free, basic, pro, enterprise"
    assert "TEXT_TO_IMAGE" in told["task"]
    assert "256" in told["use_case"]
