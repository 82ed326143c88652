"""What is kept of an order."""

from imagegate.edge.generating import asked


def test_of_pictures_only_where_they_were_is_kept() -> None:
    """P10: the parameters of a record hold no bytes, and nothing empty; pictures stand as the API takes them."""
    fields = {
        "width": 0,
        "sampler": None,
        "must_keep": [],
        "image_to_image": {"image": b"123", "strength": 0.5},
        "controls": [{"type": "OPENPOSE", "image": "template:standing"}, {"image": "https://example.org/a.png"}],
    }
    assert asked(fields) == {
        "width": 0,
        "image_to_image": {"image": {"data": "(3 bytes)"}, "strength": 0.5},
        "controls": [
            {"type": "OPENPOSE", "image": {"template": "standing"}},
            {"image": {"uri": "https://example.org/a.png"}},
        ],
    }
