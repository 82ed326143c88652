"""Saving a picture."""

from pathlib import Path

import pytest

from imagegate.client import Image

OURS = Image(b"a picture", "image/png", 64, 48, None, "", 9)


def test_save_writes_the_bytes_and_gives_the_path(tmp_path: Path) -> None:
    """The file holds exactly the picture, and nothing else is left in the folder."""
    path = OURS.save(tmp_path / "a.png")
    assert path.read_bytes() == b"a picture"
    assert list(tmp_path.iterdir()) == [path]


def test_save_never_overwrites_unless_asked(tmp_path: Path) -> None:
    """Somebody else's file is not lost by a name that was taken."""
    path = tmp_path / "a.png"
    path.write_bytes(b"theirs")
    with pytest.raises(FileExistsError):
        OURS.save(path)
    assert path.read_bytes() == b"theirs"
    OURS.save(path, overwrite=True)
    assert path.read_bytes() == b"a picture"


def test_a_picture_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    """The file is there whole or not at all: no empty one, no part."""
    broken = Image("not bytes", "image/png", 64, 48, None, "", 9)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        broken.save(tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_there_is_not_saved(tmp_path: Path) -> None:
    """A picture that was asked for with delivery NONE says so when it is wanted, and leaves no empty file."""
    known = Image(b"", "image/png", 64, 48, 7, "ab", 1234)
    for use in (lambda: known.save(tmp_path / "a.png"), known.pil):
        with pytest.raises(ValueError, match='delivery="NONE"'):
            use()
    assert list(tmp_path.iterdir()) == []
    assert known._repr_mimebundle_() == {}


def test_repr_does_not_hold_the_picture() -> None:
    """A result in a log or a notebook is short."""
    assert "a picture" not in repr(OURS)
