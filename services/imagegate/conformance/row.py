"""What a duty came to. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How a duty was kept."""

    PASS = "pass"  # noqa: S105 no password
    FAIL = "FAIL"
    NOT_OFFERED = "not offered"  # and need not be
    NOT_TRIED = "not tried"


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of trying a duty; `problems` are sentences about what is wrong, or why it was not tried."""

    came: str
    problems: Sequence[str] = ()
    verdict: Verdict | None = None

    @classmethod
    def not_offered(cls) -> "Finding":
        """The service says UNIMPLEMENTED of something that it need not have."""
        return cls("UNIMPLEMENTED", verdict=Verdict.NOT_OFFERED)

    @classmethod
    def not_tried(cls, why: str, came: str = "") -> "Finding":
        """Nothing can be said, for this reason."""
        return cls(came, (why,), Verdict.NOT_TRIED)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    id: str
    expected: str
    came: str
    verdict: Verdict
    why: str = ""

    @classmethod
    def of(cls, id: str, expected: str, finding: Finding) -> "Row":
        """The line of a duty."""
        verdict = finding.verdict or (Verdict.FAIL if finding.problems else Verdict.PASS)
        return cls(id, expected, finding.came, verdict, "; ".join(finding.problems))
