"""How a picture, or an error, came about: attempts and adjustments. Pure."""

from datetime import datetime

from imagegate.client import result
from imagegate.edge.backend.naming import Shape, shown_field, shown_provider


class AttemptShape(Shape):
    """One call to one candidate, or one that was passed over (`skipped`, `until` when). `reason` is null where it
    delivered; `seconds` is how long it took, `billed` null where nobody can know.
    """

    provider: str
    model: str
    reason: str | None
    message: str
    remedy: str
    skipped: bool
    until: datetime | None
    upstream_status: int | None
    upstream_message: str
    upstream_id: str
    phase: str
    started: datetime | None
    seconds: float
    dispatch: str
    billed: bool | None

    @classmethod
    def of(cls, attempt: result.Attempt) -> "AttemptShape":
        """The attempt as it is told here."""
        return cls(
            provider=shown_provider(attempt.provider),
            model=attempt.model,
            reason=attempt.reason or None,
            message=attempt.message,
            remedy=attempt.remedy,
            skipped=attempt.skipped,
            until=attempt.skipped_until,
            upstream_status=attempt.upstream_status or None,
            upstream_message=attempt.upstream_message,
            upstream_id=attempt.upstream_id,
            phase=attempt.phase,
            started=attempt.started,
            seconds=attempt.seconds,
            dispatch=attempt.dispatch,
            billed=attempt.billed,
        )


class AdjustmentShape(Shape):
    """A parameter that was sent differently from what was asked."""

    parameter: str
    requested: str
    applied: str
    action: str
    why: str

    @classmethod
    def of(cls, adjustment: result.Adjustment) -> "AdjustmentShape":
        """The adjustment as it is told here."""
        return cls(
            parameter=shown_field(adjustment.parameter),
            requested=adjustment.requested,
            applied=adjustment.applied,
            action=adjustment.action,
            why=adjustment.why,
        )
