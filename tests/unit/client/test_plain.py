"""Messages as plain values: what `--json` prints."""

import json

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from imagegate.client.plain import bare_name, plain
from imagegate.v1 import catalog_pb2, error_pb2, generation_pb2


def test_unset_is_absent_and_zero_is_there() -> None:
    """A cost that nobody knows is absent, never 0; what is simply empty can be relied on to be there."""
    assert "cost" not in plain(generation_pb2.GenerateResponse())
    assert plain(generation_pb2.GenerateResponse(cost=0))["cost"] == 0
    shown = plain(generation_pb2.GenerateResponse())
    assert (shown["attempts"], shown["sandbox"], shown["provider"]) == ([], False, "")


def test_enums_are_bare_and_unset_ones_absent() -> None:
    """The same word as in logs and metrics: MODEL_ACCESS_DENIED, DROPPED."""
    attempt = error_pb2.Attempt(reason=error_pb2.ERROR_REASON_MODEL_ACCESS_DENIED)
    assert plain(attempt)["reason"] == "MODEL_ACCESS_DENIED"
    assert "reason" not in plain(error_pb2.Attempt())
    assert bare_name(generation_pb2.Action.DESCRIPTOR, 1) == "DROPPED"
    assert bare_name(generation_pb2.Action.DESCRIPTOR, 99) == "99"


def test_numbers_stay_numbers() -> None:
    """64-bit integers are no texts, a duration is seconds, and 1.2 is 1.2 although 32 bits held it."""
    image = generation_pb2.Image(seed=2**62)
    assert json.loads(json.dumps(plain(image)))["seed"] == 2**62
    assert plain(error_pb2.Attempt(duration=Duration(seconds=1, nanos=500_000_000)))["duration"] == 1.5
    assert plain(catalog_pb2.Model(typical_seconds_low=1.2))["typical_seconds_low"] == 1.2
    assert plain(error_pb2.Attempt(started=Timestamp(seconds=0)))["started"] == "1970-01-01T00:00:00Z"
