"""What becomes of the requests of a batch, as they end."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from imagegate.client.batch import BatchItem
from imagegate.client.output.picture import changed
from imagegate.client.output.progress import spinner
from imagegate.client.output.screen import line
from imagegate.client.result import Result

# Takes what became of one request, and where its pictures are.
Show = Callable[[BatchItem, Sequence[Path]], None]


@contextmanager
def batch_on(out: Console, err: Console, size: int) -> Iterator[Show]:
    """What to call with each of `size` requests that has ended: a line for each, and at the end how many were made. On
    a terminal `err` says how many there are so far.
    """
    with spinner(err, f"0 made, 0 failed of {size}") as progress:
        screen = _Screen(out, progress, size)
        yield screen
    line(out, screen.summary)


class _Screen:
    def __init__(self, out: Console, progress: Progress, size: int) -> None:
        self._out = out
        self._progress = progress
        self._size = size
        self._made = self._failed = 0

    def __call__(self, item: BatchItem, paths: Sequence[Path]) -> None:
        self._progress.stop()  # two streams, one screen
        if item.result is not None:
            self._made += 1
            _print_made(self._out, item.index, item.result, paths)
        elif item.error is not None:
            self._failed += 1
            words = f"{item.index}: {item.error.reason}: {item.error.message} (request {item.request_id})"
            line(self._out, words, style="red")
        for task in self._progress.task_ids:
            self._progress.update(task, description=f"{self.summary} of {self._size}")
        self._progress.start()

    @property
    def summary(self) -> str:
        """`7 made, 1 failed`."""
        return f"{self._made} made, {self._failed} failed"


def _print_made(out: Console, index: int, result: Result, paths: Sequence[Path]) -> None:
    facts = [", ".join(map(str, paths)) or "no file", f"{result.provider}/{result.model}"]
    for first in result.images[:1]:
        facts += [f"{first.width} × {first.height}", *([f"seed {first.seed}"] if first.seed is not None else [])]
    facts += [f"{result.seconds:.1f} s", "cost not known" if result.cost is None else f"{result.cost} credits"]
    facts += ["SANDBOX"] if result.sandbox else []
    line(out, f"{index}: {' · '.join(facts)}")
    for adjustment in result.adjustments:
        line(out, f"   {changed(adjustment)}")
    for warning in result.warnings:
        line(out, f"   warning: {warning}", style="yellow")
