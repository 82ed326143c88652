"""Figures as they might be measured."""

from typing import Any, Protocol

import pytest

from bench.cells import Cell


class MakeCell(Protocol):
    """Of the figures that are told; every other one is 1."""

    def __call__(self, **figures: object) -> Cell: ...


@pytest.fixture
def cell() -> MakeCell:
    """What was measured in one round."""

    def made(**figures: object) -> Cell:
        plain: dict[str, Any] = {
            "pictures_per_second": 1.0,
            "p50": 1.0,
            "p99": 1.0,
            "calls": 1,
            "wrong": 0,
            "cpu_ms": {"router": 1.0, "provider": 1.0},
            "faults": {"router": 1.0, "provider": 1.0},
            "resident_mib": {"router": 1.0, "provider": 1.0},
            "foreign": 0.0,
            "upstream": 0.1,
        }
        return Cell(**{**plain, **figures})

    return made
