"""What a call gives back: the pictures, and how they came about."""

import io
import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imagegate.client.plain import bare_name, plain
from imagegate.v1 import error_pb2, generation_pb2

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage


@dataclass(frozen=True, slots=True)
class Image:
    """One picture. `width` and `height` are pixels, `sha256` is of `data` in hexadecimal; `seed` makes the
    picture again and is None where the model takes none. With `delivery="NONE"` `data` is empty, and `size_bytes` and
    `sha256` are those of the picture.
    """

    data: bytes = field(repr=False)
    mime_type: str
    width: int
    height: int
    seed: int | None
    sha256: str
    size_bytes: int

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the picture to `path` and return it. The file is there whole or not at all.

        Raises FileExistsError where the path is taken, unless `overwrite`; OSError where it cannot be written;
        ValueError where the picture itself was not asked for.
        """
        self._check_data()
        target = Path(path)
        part = target.with_name(f".{uuid.uuid4().hex}.part")
        if not overwrite:
            target.open("xb").close()  # ours from here on: nobody else's file can be lost
        try:
            part.write_bytes(self.data)
            part.replace(target)
        except BaseException:
            part.unlink(missing_ok=True)
            if not overwrite:
                target.unlink(missing_ok=True)
            raise
        return target

    def pil(self) -> "PillowImage":
        """The picture, decoded, as a Pillow image. Raises ValueError where the picture itself was not asked for."""
        from PIL import Image as pillow  # noqa: PLC0415 - only who decodes pays for the import

        self._check_data()
        picture = pillow.open(io.BytesIO(self.data))
        picture.load()
        return picture

    def _repr_mimebundle_(self, **_: object) -> dict[str, bytes]:
        """How a notebook shows it; nothing where the picture itself was not asked for."""
        return {self.mime_type: self.data} if self.data else {}

    def _check_data(self) -> None:
        if not self.data:
            raise ValueError(
                'the answer holds what is known of the picture, not the picture: delivery="NONE" was asked'
            )


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call to one candidate, or one candidate that was passed over (`skipped`).

    `reason` is empty where it delivered; for one that was skipped it says why. `seconds` is how long it took.
    `phase` is submit, queue, run, download or inspect; `dispatch` is how far it got: NOT_SENT, REFUSED, ACCEPTED or
    UNKNOWN. `billed` is None where nobody can know. What was not told is empty, or None.
    """

    provider: str
    model: str
    reason: str
    message: str
    remedy: str
    skipped: bool
    skipped_until: datetime | None
    upstream_status: int
    upstream_message: str
    upstream_id: str
    phase: str
    started: datetime | None
    seconds: float
    dispatch: str
    billed: bool | None
    proto: error_pb2.Attempt = field(repr=False, compare=False)

    @classmethod
    def of(cls, proto: error_pb2.Attempt) -> "Attempt":
        """The attempt that came over the wire."""
        skipped = proto.HasField("skipped")
        has_end = skipped and proto.skipped.HasField("until")
        return cls(
            provider=proto.provider,
            model=proto.model,
            reason=bare_name(error_pb2.ErrorReason.DESCRIPTOR, proto.skipped.reason if skipped else proto.reason),
            message=proto.message,
            remedy=proto.remedy,
            skipped=skipped,
            skipped_until=proto.skipped.until.ToDatetime(tzinfo=UTC) if has_end else None,
            upstream_status=proto.upstream_status,
            upstream_message=proto.upstream_message,
            upstream_id=proto.upstream_id,
            phase=proto.phase,
            started=proto.started.ToDatetime(tzinfo=UTC) if proto.HasField("started") else None,
            seconds=proto.duration.ToNanoseconds() / 1e9,
            dispatch=bare_name(error_pb2.Dispatch.DESCRIPTOR, proto.dispatch),
            billed=proto.billed if proto.HasField("billed") else None,
            proto=proto,
        )


@dataclass(frozen=True, slots=True)
class Adjustment:
    """A parameter that was sent differently from what was asked. `action` is DROPPED, CLAMPED, ROUNDED,
    TRANSLATED or SUBSTITUTED; `applied` is empty where nothing was sent.
    """

    parameter: str
    requested: str
    applied: str
    action: str
    why: str

    @classmethod
    def of(cls, proto: generation_pb2.Adjustment) -> "Adjustment":
        """The adjustment that came over the wire."""
        action = bare_name(generation_pb2.Action.DESCRIPTOR, proto.action)
        return cls(proto.parameter, proto.requested, proto.applied, action, proto.why)


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to one request. `cost` is in credits, None where the price is not known; `seconds` is the
    router's whole time; `sandbox` is true when a stand-in made the pictures.
    """

    images: Sequence[Image]
    provider: str
    model: str
    upstream_model: str
    upstream_provider: str
    resolved_by: str
    request_id: str
    attempts: Sequence[Attempt]
    adjustments: Sequence[Adjustment]
    warnings: Sequence[str]
    cost: int | None
    seconds: float
    sandbox: bool
    proto: generation_pb2.GenerateResponse = field(repr=False, compare=False)

    @classmethod
    def of(cls, proto: generation_pb2.GenerateResponse) -> "Result":
        """The answer that came over the wire."""
        return cls(
            images=[image_of(image) for image in proto.images],
            provider=proto.provider,
            model=proto.model,
            upstream_model=proto.upstream_model,
            upstream_provider=proto.upstream_provider,
            resolved_by=bare_name(generation_pb2.ResolvedBy.DESCRIPTOR, proto.resolved_by),
            request_id=proto.request_id,
            attempts=[Attempt.of(attempt) for attempt in proto.attempts],
            adjustments=[Adjustment.of(adjustment) for adjustment in proto.adjustments],
            warnings=list(proto.warnings),
            cost=proto.cost if proto.HasField("cost") else None,
            seconds=proto.timings.total.ToNanoseconds() / 1e9,
            sandbox=proto.sandbox,
            proto=proto,
        )

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain values without the pictures' bytes: what `imagegate generate --json` prints."""
        shown = plain(self.proto)
        for image in shown["images"]:
            del image["data"]
        return shown


def image_of(proto: generation_pb2.Image) -> Image:
    """The picture that came over the wire."""
    return Image(
        data=proto.data,
        mime_type=proto.mime_type,
        width=proto.width,
        height=proto.height,
        seed=proto.seed if proto.HasField("seed") else None,
        sha256=proto.sha256,
        size_bytes=proto.size_bytes or len(proto.data),  # a preview tells of its data only
    )
