"""Where pictures go."""

from pathlib import Path

import pytest

from imagegate.client import Image
from imagegate.client.files import CannotWriteError, Destination, is_misnamed

PNG = Image(b"png", "image/png", 64, 48, None, "", 3)
JPEG = Image(b"jpeg", "image/jpeg", 64, 48, None, "", 4)


def saved(out: str, images: list[Image], request_id: str = "r1") -> list[str]:
    return [path.name for path in Destination.of(out).save(images, request_id)]


def test_a_folder_gets_names_with_the_requests_id(tmp_path: Path) -> None:
    """`imagegate-<request id>-<n>.<ext>`, n from 1, the extension by what the picture is."""
    assert saved(str(tmp_path), [PNG, JPEG], "a.b:c") == ["imagegate-a.b_c-1.png", "imagegate-a.b_c-2.jpg"]


def test_a_name_that_ends_in_a_slash_is_a_folder_that_is_created(tmp_path: Path) -> None:
    """`--out new/` needs no mkdir."""
    assert saved(f"{tmp_path}/new/deep/", [PNG]) == ["imagegate-r1-1.png"]
    assert (tmp_path / "new" / "deep" / "imagegate-r1-1.png").is_file()


def test_a_files_extension_is_optional(tmp_path: Path) -> None:
    """`--out cat` becomes cat.png; several pictures are numbered."""
    assert saved(str(tmp_path / "cat"), [PNG]) == ["cat.png"]
    assert saved(str(tmp_path / "dog.png"), [PNG, PNG]) == ["dog-1.png", "dog-2.png"]


def test_no_file_is_ever_overwritten(tmp_path: Path) -> None:
    """A name that is taken gets the next free suffix."""
    out = str(tmp_path / "cat.png")
    assert [saved(out, [PNG])[0] for _ in range(3)] == ["cat.png", "cat-2.png", "cat-3.png"]


@pytest.mark.parametrize(
    "out", ["/proc/nowhere/", "/proc/cat.png", "/dev/null/cat.png", "{long}", "nul\0byte", "~nobody-here/x.png"]
)
def test_a_place_that_cannot_be_written_is_found_out_beforehand(tmp_path: Path, out: str) -> None:
    """Nobody pays for a picture that has nowhere to go; the sentence names --out."""
    with pytest.raises(CannotWriteError, match="--out"):
        Destination.of(out.format(long=tmp_path / ("x" * 300)))


def test_trying_a_place_leaves_nothing_there(tmp_path: Path) -> None:
    """A request that fails leaves no empty file."""
    Destination.of(str(tmp_path / "cat.png"))
    assert list(tmp_path.iterdir()) == []


def test_a_promise_of_another_format_is_noticed() -> None:
    """The chosen name is kept, and the caller is told that it does not fit."""
    assert is_misnamed(Path("cat.png"), JPEG)
    assert not is_misnamed(Path("cat.JPEG"), JPEG)
