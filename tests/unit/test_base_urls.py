"""Where an upstream is, configuration says and no request."""

import re
from collections.abc import Iterator, Mapping

import pytest
from google.protobuf.descriptor import Descriptor

from imagegate.providers.__main__ import create, names
from imagegate.runtime.redaction import Redactor
from imagegate.v1 import generation_pb2

A_PLACE = re.compile(
    r"base_?url|api_?base|endpoint|(^|_)(url|uri|host|proxy|webhook|callback|target|server)($|_)", re.I
)
# Where a picture lies: fetched from public addresses only, without a key.
PICTURES = {"imagegate.v1.InputImage.uri"}


def fields(message: Descriptor, seen: set[str]) -> Iterator[str]:
    """The full names of all fields of a message, and of the messages in it."""
    if message.full_name in seen:
        return
    seen.add(message.full_name)
    for field in message.fields:
        yield field.full_name
        if field.message_type is not None:
            yield from fields(field.message_type, seen)


def test_no_request_says_where_an_upstream_is() -> None:
    """S5: of all that a request can say nothing is an address, save those of its pictures."""
    found = {name for name in fields(generation_pb2.GenerateRequest.DESCRIPTOR, set()) if _is_a_place(name)}
    assert found == PICTURES


@pytest.mark.parametrize("name", names())
def test_no_option_says_it_either(name: str) -> None:
    """S5: no option that a model of ours lets through to its upstream is an address."""
    environ: Mapping[str, str] = {"SD_ENABLED": "true"}
    provider = create(name, environ, Redactor())
    assert [option for model in provider.catalogue.models for option in model.options if _is_a_place(option)] == []


def _is_a_place(name: str) -> bool:
    return bool(A_PLACE.search(name.rpartition(".")[2]))
