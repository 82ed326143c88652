"""`make simulate`: every cell, on all cores, as a table."""

import argparse
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product

from simulation import table
from simulation.measure import Figures
from simulation.scenarios import POLICIES, RATES, SCENARIOS, play
from simulation.table import Cell

NAMES = [scenario.name for scenario in SCENARIOS]


def main(arguments: Sequence[str] | None = None) -> None:
    """Play what is asked for, and print it."""
    parser = argparse.ArgumentParser(prog="make simulate", description=__doc__)
    parser.add_argument("--scenario", action="append", choices=NAMES, help="only this one; may be repeated")
    parser.add_argument("--rate", action="append", type=float, help="requests per second; may be repeated")
    parser.add_argument("--seed", type=int, default=1, help="of the traffic and of the policies' chance")
    parser.add_argument("--markdown", action="store_true", help="for a README")
    asked = parser.parse_args(arguments)
    cells = [Cell(*each) for each in product(asked.scenario or NAMES, (1, 2), asked.rate or RATES)]
    # The largest first, so that no core is left with one at the end.
    order = sorted(product(cells, POLICIES), key=lambda each: -each[0].rate)
    with ProcessPoolExecutor() as pool:
        played = dict(
            zip(order, pool.map(_play, *zip(*((*each, asked.seed) for each in order), strict=True)), strict=True)
        )
    results = {cell: {policy: played[cell, policy] for policy in POLICIES} for cell in cells}
    print(table.markdown(results) if asked.markdown else table.plain(results))  # noqa: T201


def _play(cell: Cell, policy: str, seed: int) -> Figures:
    return play(SCENARIOS[NAMES.index(cell.scenario)], policy, cell.candidates, cell.rate, seed)


if __name__ == "__main__":
    main()
