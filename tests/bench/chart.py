"""The figures as SVG, which nothing has to be loaded for."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pygal
from pygal.style import CleanStyle

from bench.cells import MANY, Case, Measured, median
from bench.systems import HAPPY

# Fonts of the reader's own, and nothing that runs.
LOOK = {"js": (), "style": CleanStyle(font_family="sans-serif"), "print_values": True, "disable_xml_declaration": True}


def by_system(measured: Measured, samples: Sequence[str], path: Path) -> None:
    """Draw pictures per second of each system, for pictures of both sizes."""
    chart = pygal.HorizontalBar(
        **LOOK, title=f"Pictures per second, {MANY} callers", logarithmic=True, value_formatter="{:,.0f}".format
    )
    chart.x_labels = samples
    cases = [Case(HAPPY, sample, MANY) for sample in samples]
    for contestant in measured.cells[cases[0]]:
        rates = [[cell.pictures_per_second for cell in measured.of(case, contestant.system)] for case in cases]
        chart.add(contestant.system, [median(each) if each else None for each in rates])
    chart.render_to_file(str(path))


def over_pictures(lines: Mapping[str, Sequence[tuple[float, float]]], title: str, path: Path) -> None:
    """Draw each line, points of (pictures, MiB)."""
    chart = pygal.XY(**{**LOOK, "print_values": False}, title=title, x_title="pictures", y_title="MiB", dots_size=1)
    for name, points in lines.items():
        chart.add(name, points)
    chart.render_to_file(str(path))
