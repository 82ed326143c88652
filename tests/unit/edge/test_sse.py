"""Server-Sent Events as they go over the wire."""

import json

from imagegate.edge.sse import Event, encoded


def test_json_is_one_line_whatever_is_in_it() -> None:
    """A text with a separator of lines that SSE does not know (U+2028, U+0085) stays one piece of JSON."""
    data = {"why": "one\u2028two\u0085three\nfour"}
    name, line, *rest = encoded(Event("note", data)).decode().split("\n")
    assert (name, rest) == ("event: note", ["", ""])
    assert json.loads(line.removeprefix("data: ")) == data


def test_a_text_of_several_lines_is_sent_line_by_line() -> None:
    """Each line of a text is one of the event, however it ends; without a name it is a plain message."""
    assert encoded(Event("", "[DONE]")) == b"data: [DONE]\n\n"
    assert encoded(Event("", "a\r\nb\rc\n")) == b"data: a\ndata: b\ndata: c\ndata: \n\n"
