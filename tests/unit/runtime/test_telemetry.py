"""What is in every log line."""

from datetime import UTC, datetime

import pytest

from imagegate.runtime.telemetry import in_iso


@pytest.mark.parametrize("seconds", [0, 1_700_000_000, 4_102_444_799])
@pytest.mark.parametrize("micros", [0, 7, 999_999])
def test_points_in_time(seconds: int, micros: int) -> None:
    """A log line tells when it was written as ISO 8601 has it, to the microsecond and in UTC."""
    told = in_iso(seconds * 10**9 + micros * 1000 + 999)
    assert told.endswith("Z")
    assert datetime.fromisoformat(told) == datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros)
