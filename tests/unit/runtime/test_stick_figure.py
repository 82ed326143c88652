"""How a pose is drawn."""

import io

from PIL import Image

from imagegate.runtime.stick_figure import COLOURS, KEYPOINTS, LIMBS, draw

ARM = {"right_shoulder": (20.0, 20.0), "right_elbow": (80.0, 20.0)}


def pixels(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def test_keypoints_and_limbs_have_the_colours_that_models_know() -> None:
    """P5: 18 keypoints in COCO's order, 17 limbs, each in its own colour, on black; the limb between them is darker."""
    assert (len(KEYPOINTS), len(LIMBS), len(set(COLOURS))) == (18, 17, 18)
    assert {name for limb in LIMBS for name in limb} == set(KEYPOINTS)
    picture = pixels(draw(ARM, 100, 40))
    assert picture.size == (100, 40)
    assert picture.getpixel((20, 20)) == COLOURS[KEYPOINTS.index("right_shoulder")]
    assert picture.getpixel((80, 20)) == COLOURS[KEYPOINTS.index("right_elbow")]
    red, green, blue = COLOURS[LIMBS.index(("right_shoulder", "right_elbow"))]
    assert picture.getpixel((50, 20)) == (int(red * 0.6), int(green * 0.6), int(blue * 0.6))
    assert picture.getpixel((5, 5)) == (0, 0, 0)


def test_what_cannot_be_seen_is_not_drawn() -> None:
    """A limb needs both of its ends."""
    alone = pixels(draw({"right_shoulder": (20.0, 20.0)}, 100, 40))
    assert alone.getpixel((20, 20)) != (0, 0, 0)
    assert alone.getpixel((50, 20)) == (0, 0, 0)


def test_the_same_pose_gives_the_same_bytes() -> None:
    """Drawing depends on nothing but the keypoints."""
    assert draw(ARM, 100, 40) == draw(dict(ARM), 100, 40)
