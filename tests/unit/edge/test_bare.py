"""Nothing of a picture is passed on but the picture."""

import io

import pytest
from PIL import Image, PngImagePlugin

from imagegate.edge.bare import bare
from imagegate.edge.problem import Problem
from imagegate.runtime import images
from imagegate.testing.galleries import answer
from imagegate.testing.pictures import picture

MARKER = "a marker in a prompt"


def marked(kind: str) -> bytes:
    """A picture with the marker wherever its format has room for one."""
    exif = Image.Exif()
    exif[0x010E] = MARKER
    file = io.BytesIO()
    texts = PngImagePlugin.PngInfo()
    texts.add_text("parameters", MARKER)
    texts.add_itxt("prompt", MARKER)
    own: dict[str, dict[str, object]] = {
        "PNG": {"pnginfo": texts},
        "JPEG": {"comment": MARKER},
        "WEBP": {"xmp": MARKER.encode()},
    }
    Image.open(io.BytesIO(picture())).save(file, kind, exif=exif, **own[kind])
    assert MARKER.encode() in file.getvalue()
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_what_came_along_with_a_picture_stays_behind(kind: str) -> None:
    """S10: no prompt is in a picture's bytes, its pixels are the same; its sum and size are those of what is left."""
    before = answer([picture(), marked(kind)])
    after = bare(before)
    [same, clean] = after.images
    assert same == before.images[0]
    assert MARKER.encode() not in clean.data
    assert images.inspect(clean.data) == images.inspect(before.images[1].data)
    assert Image.open(io.BytesIO(clean.data)).tobytes() == Image.open(io.BytesIO(before.images[1].data)).tobytes()
    assert clean.size_bytes == len(clean.data)
    assert clean.sha256 != before.images[1].sha256
    assert clean.seed == before.images[1].seed
    assert bare(after) is after


def test_an_answer_with_nothing_to_leave_behind_is_not_copied() -> None:
    """What most upstreams deliver costs no copy."""
    result = answer([picture()])
    assert bare(result) is result


@pytest.mark.parametrize("data", [b"<svg onload=alert(1)>", picture() + b"PK\3\4", b""])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    """S9: a page, a drawing that runs, a picture with an archive behind it: whoever made it, it is served to nobody."""
    result = answer([picture()])
    result.proto.images[0].data = data
    with pytest.raises(Problem, match="502 BAD_OUTPUT"):
        bare(type(result).of(result.proto))


def test_a_picture_is_of_the_kind_that_it_says() -> None:
    """The type that is told with the bytes is theirs."""
    result = answer([picture()])
    result.proto.images[0].mime_type = "image/webp"
    with pytest.raises(Problem, match="image/webp is image/png"):
        bare(type(result).of(result.proto))


def test_what_is_said_of_a_picture_is_what_its_bytes_say() -> None:
    """S11: under the sum that a provider made up it would be kept in the place of somebody else's picture."""
    honest = answer([picture(64, 48)])
    lying = answer([picture(64, 48)])
    made_up = lying.proto.images[0]
    made_up.sha256, made_up.size_bytes, made_up.width, made_up.height = "0" * 64, 1, 4096, 4096
    assert bare(type(lying).of(lying.proto)).images == honest.images
