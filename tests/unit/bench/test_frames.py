"""HTTP/2's frames, as far as the benchmark's callers speak them."""

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import frames
from bench.frames import DATA, HEADERS, PING, Received, Request, frame, told_by

REQUEST = Request("127.0.0.1:50051", "/x.Y/Z", b"a fox", 60)


def pieces(sent: bytes, cuts: list[int]) -> list[tuple[int, int, int, bytes]]:
    """What is made of these bytes where they come in so large pieces."""
    received, found = Received(), list[tuple[int, int, int, bytes]]()
    for cut in [*cuts, len(sent)]:
        now, sent = sent[:cut], sent[cut:]
        received.room()[: len(now)] = now
        found += [(kind, flags, stream, bytes(each)) for kind, flags, stream, each in received.frames(len(now))]
    return found


def test_another_implementation_understands_what_is_sent() -> None:
    """The opening's settings and window, and a call with the headers of any gRPC client and its message."""
    server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
    server.initiate_connection()
    events = server.receive_data(frames.OPENING + REQUEST.frames(1) + REQUEST.frames(3))
    assert server.outbound_flow_control_window == frames.WINDOW
    assert server.remote_settings[h2.settings.SettingCodes.HEADER_TABLE_SIZE] == 0
    heads = [dict(each.headers) for each in events if isinstance(each, h2.events.RequestReceived)]
    assert heads == 2 * [
        {
            ":method": "POST", ":scheme": "http", ":path": "/x.Y/Z", ":authority": "127.0.0.1:50051", "te": "trailers",
            "content-type": "application/grpc", "user-agent": "imagegate-bench", "grpc-timeout": "60000m",
        }
    ]  # fmt: skip
    bodies = [(each.stream_id, each.data) for each in events if isinstance(each, h2.events.DataReceived)]
    assert bodies == [(1, b"\0\0\0\0\5a fox"), (3, b"\0\0\0\0\5a fox")]
    assert sum(isinstance(each, h2.events.StreamEnded) for each in events) == 2


def test_what_does_not_fit_into_a_frame_is_not_sent() -> None:
    """A server may refuse frames over 16 kB."""
    with pytest.raises(ValueError, match="20,000 bytes"):
        Request("127.0.0.1:50051", "/x.Y/Z", bytes(20_000), 60)


@given(st.lists(st.integers(0, 60), max_size=20))
def test_frames_are_whole_however_they_come(cuts: list[int]) -> None:
    """Wherever reading stops, frames are told once and whole, and DATA in pieces that make it up."""
    sent = [(HEADERS, 4, 1, b"head"), (DATA, 0, 1, bytes(range(100))), (DATA, 0, 3, b""), (PING, 0, 0, b"12345678")]
    found = pieces(b"".join(frame(*each) for each in sent), cuts)
    assert [each for each in found if each[0] != DATA] == [sent[0], sent[3]]
    assert b"".join(each[3] for each in found if each[0] == DATA) == sent[1][3]
    assert {each[2] for each in found if each[0] == DATA} == {1}


def test_a_header_is_read_where_it_is_plain() -> None:
    """One that is absent or in Huffman's code is not guessed."""
    assert told_by(b"\x88\0\x0bgrpc-status\x0214", "grpc-status") == "14"
    assert told_by(b"\x88\0\x0bgrpc-status\x820U", "grpc-status") is None
    assert told_by(b"\x88\0\x0bgrpc-status\x0214", "grpc-message") is None
