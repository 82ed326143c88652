"""From keyword arguments to a request. Pure."""

from typing import get_args

import pytest

from imagegate.client import GenerationError
from imagegate.client.fields import (
    KNOWN,
    GenerateFields,
    QualityName,
    RecommendFields,
    TaskName,
    TierName,
    to_order,
    to_recommend_request,
    to_request,
)
from imagegate.runtime.models import TASKS, TIERS
from imagegate.v1 import catalog_pb2, generation_pb2, terms_pb2


def test_the_typed_fields_are_exactly_those_of_the_request() -> None:
    """What a type checker offers is what the proto has: a new field may not be forgotten here."""
    assert {*GenerateFields.__annotations__, "prompt", "model"} == set(KNOWN)
    assert list(RecommendFields.__annotations__) == list(catalog_pb2.RecommendModelsRequest.DESCRIPTOR.fields_by_name)
    assert get_args(TaskName) == tuple(task.upper() for task in TASKS.values())
    assert get_args(TierName) == TIERS
    assert get_args(QualityName) == tuple(name.removeprefix("QUALITY_") for name in terms_pb2.Quality.keys()[1:])


def test_what_cannot_be_recommended_by_is_told_like_any_bad_field() -> None:
    """Absent is no limit and zero is one; a word that is no task lists those that are."""
    assert to_recommend_request({"max_credits": None, "tier": None}) == catalog_pb2.RecommendModelsRequest()
    assert to_recommend_request({"max_credits": 0}).HasField("max_credits")
    with pytest.raises(GenerationError, match="TEXT_TO_IMAGE, IMAGE_TO_IMAGE"):
        to_recommend_request({"task": "PAINTING"})
    with pytest.raises(TypeError, match=r"recommend.*prompt"):
        to_recommend_request({"prompt": "x"})


@pytest.mark.parametrize(
    ("name", "near"), [("widht", "width"), ("cfg_scale", "guidance_scale"), ("deny_prov", "deny_providers")]
)
def test_an_unknown_field_is_a_type_error_with_the_nearest_name(name: str, near: str) -> None:
    """A typo is never sent, and never silently dropped."""
    with pytest.raises(TypeError, match=f"{name}.*{near}"):
        to_request("x", "", {name: 1})


def test_absent_is_not_zero() -> None:
    """R3: None leaves a field to the model's default; zero and the empty text are values."""
    request = to_request("x", "", {"steps": None, "guidance_scale": 0.0, "seed": 0, "negative_prompt": ""})
    assert not request.HasField("steps")
    assert request.HasField("guidance_scale")
    assert request.HasField("seed")
    assert request.HasField("negative_prompt")
    assert request.ByteSize() > 0


def test_enums_go_by_their_bare_name() -> None:
    """`on_unsupported="REFUSE"` is what people write; another word lists the possible ones."""
    assert to_request("x", "", {"on_unsupported": "refuse"}).on_unsupported == generation_pb2.ON_UNSUPPORTED_REFUSE
    with pytest.raises(GenerationError, match="ADJUST, REFUSE"):
        to_request("x", "", {"on_unsupported": "MAYBE"})


@pytest.mark.parametrize(("name", "value"), [("width", 2**40), ("seed", 2**63), ("prompt", "\udc80")])
def test_a_value_that_does_not_fit_on_the_wire_is_an_invalid_request(name: str, value: object) -> None:
    """Bad input has one error, wherever it is found out."""
    fields = {"prompt": "x", name: value}
    with pytest.raises(GenerationError, match=name) as caught:
        to_request(str(fields.pop("prompt")), "", fields)
    assert caught.value.to_dict()["reason"] == "INVALID_REQUEST"


@pytest.mark.parametrize(("name", "value"), [("width", "wide"), ("deny_providers", "fal"), ("must_keep", [1])])
def test_a_value_of_the_wrong_type_names_its_field(name: str, value: object) -> None:
    """One text where a list belongs would be taken letter by letter."""
    with pytest.raises(TypeError, match=name):
        to_request("x", "", {name: value})


def test_every_request_has_an_id() -> None:
    """A call that never arrives can be looked for as well; an id of one's own is kept."""
    assert len({to_request("x", "", {}).request_id for _ in range(10)}) == 10
    assert to_request("x", "", {"request_id": "mine"}).request_id == "mine"


def test_every_order_has_a_key_and_a_question_has_none() -> None:
    """Whatever repeats an order on the way, it is paid for once; a key of one's own is kept."""
    assert len({to_order("x", "", {}).idempotency_key for _ in range(10)}) == 10
    assert to_order("x", "", {"idempotency_key": "mine"}).idempotency_key == "mine"
    assert not to_request("x", "", {}).idempotency_key


def test_payment_is_one_of_the_callers_rules() -> None:
    """`payment="PAY_ONCE"` stands with the other rules about candidates; None leaves it to the model."""
    assert to_request("x", "", {"payment": "PAY_ONCE"}).routing.payment == terms_pb2.PAYMENT_PAY_ONCE
    assert not to_request("x", "", {"payment": None}).HasField("routing")


def test_what_only_one_provider_understands_goes_as_it_is() -> None:
    """Options are nested as the proto has them; what is no mapping names its field."""
    request = to_request(
        "x", "", {"provider_options": {"fal": {"acceleration": "high", "enable_safety_checker": True}}}
    )
    assert dict(request.provider_options["fal"]) == {"acceleration": "high", "enable_safety_checker": True}
    with pytest.raises(TypeError, match="provider_options"):
        to_request("x", "", {"provider_options": {"fal": "fast"}})


def test_our_clients_take_large_answers() -> None:
    """The default of the contract is for clients that were not tuned; ours are, and a limit of one's own is kept."""
    assert to_request("x", "", {}).output.max_bytes == 56_000_000
    assert to_request("x", "", {"max_bytes": 100_000, "format": "webp"}).output == generation_pb2.Output(
        format=generation_pb2.FORMAT_WEBP, max_bytes=100_000
    )
