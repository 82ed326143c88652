"""Which part of a file a Range header asks for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagegate.edge.byte_range import ByteRange, asked


@pytest.mark.parametrize(
    ("header", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=2-4", 2, 5),
        ("bytes=5-", 5, 10),
        ("bytes=-3", 7, 10),
        ("bytes=-99", 0, 10),
        ("bytes=9-99", 9, 10),
    ],
)
def test_one_range_is_what_it_says(header: str, start: int, stop: int) -> None:
    """RFC 9110, 14.1.2: first and last byte, from a byte on, the last so many; what goes over the end ends there."""
    found = asked(header, 10)
    assert found == ByteRange(start, stop, 10)
    assert found.told == f"bytes {start}-{stop - 1}/10"
    assert found


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=99999-"])
def test_a_range_behind_the_end_is_empty(header: str) -> None:
    """RFC 9110, 15.5.17: what lies behind the end can be told, with the size."""
    found = asked(header, 10)
    assert found is not None
    assert not found
    assert found.told == "bytes */10"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=4-2",
        "bytes=0-1,3-4",
        "lines=0-1",
        "bytes=a-b",
        "bytes=٣-٤",
        f"bytes={'9' * 99}-",
    ],
)
def test_what_is_no_range_is_all_of_it(header: str) -> None:
    """RFC 9110, 14.2: several ranges, other units and nonsense may be answered with the whole."""
    assert asked(header, 10) is None


@given(st.text(), st.integers(1, 2**40))
def test_a_range_never_leaves_the_file(header: str, size: int) -> None:
    """Whatever is asked, only bytes of the file are read."""
    for each in (header, f"bytes={header}"):
        found = asked(each, size)
        assert found is None or 0 <= found.start <= found.stop <= size


@given(st.integers(0, 200), st.integers(0, 200), st.integers(1, 100))
def test_a_range_is_what_a_slice_is(first: int, last: int, size: int) -> None:
    """First and last byte are a slice of the file."""
    data = bytes(range(size))
    found = asked(f"bytes={first}-{last}", size)
    if last < first:
        assert found is None
    else:
        assert found is not None
        assert data[found.start : found.stop] == data[first : last + 1]
