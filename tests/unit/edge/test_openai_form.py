"""The form of an edit."""

import pytest

from imagegate.edge.body import Form, Upload
from imagegate.edge.openai.form import edited
from imagegate.edge.problem import Problem


def files(**named: bytes | list[bytes]) -> dict[str, list[Upload]]:
    lists = {name: data if isinstance(data, list) else [data] for name, data in named.items()}
    return {name: [Upload("a.png", "image/png", each) for each in data] for name, data in lists.items()}


def wrong(form: Form) -> set[str]:
    with pytest.raises(Problem) as caught:
        edited(form)
    return {each.field for each in caught.value.violations}


def test_pictures_come_by_either_name() -> None:
    """One picture is `image`, several are `image[]`; either name may come more than once, and order is kept."""
    texts = {"prompt": ["a fox"]}
    assert edited(Form(texts, files(image=b"1"))).images == [b"1"]
    assert edited(Form(texts, files(**{"image[]": [b"1", b"2"]}))).images == [b"1", b"2"]
    assert edited(Form(texts, files(image=[b"1", b"2"], mask=b"m"))).mask == b"m"


def test_an_empty_text_was_not_asked_for() -> None:
    """A form cannot say null; an empty field is as good as none."""
    assert edited(Form({"prompt": ["a fox"], "size": [""], "n": [""]}, files(image=b"1"))).asked.n is None


def test_everything_that_is_wrong_with_a_form_is_told_at_once() -> None:
    """P12: files that are missing, empty, unknown, repeated or texts, and texts that are repeated or wrong."""
    assert wrong(Form({}, {})) == {"prompt", "image"}
    assert wrong(Form({"prompt": ["x", "y"], "n": ["0"]}, files(image=b"", mask=[b"", b"m"], markup=b"1"))) == {
        "prompt", "n", "image", "mask", "markup",
    }  # fmt: skip
    assert wrong(Form({"prompt": ["x"], "image": ["data:image/png;base64,"], "mask": ["m"]}, {})) == {"image", "mask"}
    assert wrong(Form({"prompt": ["x"], "credits": ["1"]}, files(image=b"1"))) == {"credits"}
