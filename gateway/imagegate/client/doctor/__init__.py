"""Whether what is configured works: what a router is asked, and what its answers amount to.

| module | what it knows |
| --- | --- |
| examining | whom to ask what, and how many at a time |
| trial | which pictures to make, how small, and what they cost |
| row | what is told of a model, a provider and a route |
| judging | what the answers say of one model |
| diagnosis | what a fallback covers, which routes work, and the exit code |
"""

from imagegate.client.doctor.diagnosis import Diagnosis, diagnose
from imagegate.client.doctor.examining import Examination, Makes
from imagegate.client.doctor.row import Made, ProviderRow, RouteRow, Row, Works
from imagegate.client.doctor.trial import Plan

__all__ = [
    "Diagnosis",
    "Examination",
    "Made",
    "Makes",
    "Plan",
    "ProviderRow",
    "RouteRow",
    "Row",
    "Works",
    "diagnose",
]
