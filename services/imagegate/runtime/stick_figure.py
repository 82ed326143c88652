"""A pose as OpenPose draws it: 18 keypoints and the limbs between them, each in the colour that models know. Pure.

What is drawn depends on nothing but the keypoints: the same ones give the same bytes.
"""

import math
from collections.abc import Mapping
from io import BytesIO

from PIL import Image, ImageDraw

Point = tuple[float, float]

# COCO's order.
KEYPOINTS = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye", "left_eye",
    "right_ear", "left_ear",
)  # fmt: skip
# In the order in which they are drawn; limb and keypoint number n have the colour n.
LIMBS = (
    ("neck", "right_shoulder"), ("neck", "left_shoulder"), ("right_shoulder", "right_elbow"),
    ("right_elbow", "right_wrist"), ("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist"),
    ("neck", "right_hip"), ("right_hip", "right_knee"), ("right_knee", "right_ankle"), ("neck", "left_hip"),
    ("left_hip", "left_knee"), ("left_knee", "left_ankle"), ("neck", "nose"), ("nose", "right_eye"),
    ("right_eye", "right_ear"), ("nose", "left_eye"), ("left_eye", "left_ear"),
)  # fmt: skip
COLOURS = (
    (255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0), (0, 255, 0), (0, 255, 85),
    (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255), (0, 0, 255), (85, 0, 255), (170, 0, 255), (255, 0, 255),
    (255, 0, 170), (255, 0, 85),
)  # fmt: skip
# Half of a limb's width, and a keypoint's radius, in pixels.
RADIUS = 4
# How bright a limb is beside its keypoints.
LIMB_SHARE = 0.6
CORNERS = 36


def draw(keypoints: Mapping[str, Point], width: int, height: int) -> bytes:
    """The PNG of a figure on black, `width` × `height` pixels; a keypoint that is absent is not drawn."""
    picture = Image.new("RGB", (width, height))
    pen = ImageDraw.Draw(picture)
    for (start, end), colour in zip(LIMBS, COLOURS, strict=False):
        if start in keypoints and end in keypoints:
            limb = _ellipse(keypoints[start], keypoints[end])
            pen.polygon(limb, fill=tuple(int(part * LIMB_SHARE) for part in colour))
    for name, colour in zip(KEYPOINTS, COLOURS, strict=True):
        if name in keypoints:
            pen.circle(keypoints[name], RADIUS, fill=colour)
    buffer = BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _ellipse(start: Point, end: Point) -> list[Point]:
    """The outline of a limb: an ellipse from one keypoint to the other."""
    middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
    along = (end[0] - start[0], end[1] - start[1])
    half = math.hypot(*along) / 2
    cosine, sine = math.cos(math.atan2(along[1], along[0])), math.sin(math.atan2(along[1], along[0]))
    outline = []
    for corner in range(CORNERS):
        angle = 2 * math.pi * corner / CORNERS
        x, y = half * math.cos(angle), RADIUS * math.sin(angle)
        outline.append((middle[0] + x * cosine - y * sine, middle[1] + x * sine + y * cosine))
    return outline
