"""What happens on the way to a picture, while it happens."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from imagegate.client import event as happened
from imagegate.client.logs import printable
from imagegate.client.output.screen import line, until
from imagegate.client.result import Attempt

BETWEEN = "waiting for the router"

Show = Callable[[happened.Event], None]


@dataclass(slots=True)
class Story:
    """Tells the events of one stream in sentences; it remembers which attempt is under way."""

    who: str = ""

    def tell(self, event: happened.Event) -> str:
        """One event in one sentence; empty for the answer, which is told elsewhere."""
        match event:
            case happened.AttemptStarted():
                self.who = f"{event.provider}/{event.model}"
                limit = f", up to {event.timeout:.0f} s" if event.timeout is not None else ""
                return f"{self.who}: attempt {event.number} begins{limit}"
            case happened.Progress():
                return f"{self.who}: {_stage(event)}" if self.who else _stage(event)
            case happened.AttemptFinished():
                return _ended(event.attempt)
            case happened.Completed():
                return ""


def spinner(err: Console, what: str) -> Progress:
    """Says that something is under way, and for how long; nothing where `err` is no terminal."""
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    progress = Progress(*columns, console=err, transient=True, disable=not err.is_terminal)
    progress.add_task(what, total=None)
    return progress


@contextmanager
def counter(err: Console, what: str) -> Iterator[Callable[[str], None]]:
    """What to call with what is under way: a live line on a terminal, nothing elsewhere."""
    with spinner(err, what) as progress:
        (task,) = progress.task_ids
        yield lambda words: progress.update(task, description=printable(words))


@contextmanager
def progress_on(err: Console) -> Iterator[Show]:
    """What to call with each event of a stream: a live line on a terminal, elsewhere one line for each change."""
    if not err.is_terminal:
        yield _Lines(err)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        yield _LiveLine(progress)


class _Lines:
    def __init__(self, err: Console) -> None:
        self._err = err
        self._story = Story()
        self._last = ""

    def __call__(self, event: happened.Event) -> None:
        told = self._story.tell(event)
        if told and told != self._last:
            line(self._err, told)
            self._last = told


class _LiveLine:
    """What is under way on a line that changes; what has ended stays above it."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._story = Story()
        self._task = progress.add_task(BETWEEN, total=None)

    def __call__(self, event: happened.Event) -> None:
        told = printable(self._story.tell(event))
        match event:
            case happened.AttemptStarted():
                self._begin(told)
            case happened.Progress():
                self._progress.update(self._task, description=told, total=event.steps, completed=event.step)
            case happened.AttemptFinished():
                line(self._progress.console, told)
                self._begin(BETWEEN)
            case happened.Completed():
                pass

    def _begin(self, told: str) -> None:
        """A new task: the clock is that of what is under way, and its bar begins anew."""
        self._progress.remove_task(self._task)
        self._task = self._progress.add_task(told, total=None)


def _stage(event: happened.Progress) -> str:
    match event.phase:
        case "QUEUED" if event.queue_position is not None:
            return f"queued, {event.queue_position} before it" if event.queue_position else "queued, next"
        case "WARMING" if event.ready_in is not None:
            return f"warming, ready in about {event.ready_in:.0f} s"
        case "RUNNING" if event.step is not None:
            return f"running, step {event.step}" + (f" of {event.steps}" if event.steps else "")
        case phase:
            return phase.lower() or "under way"


def _ended(attempt: Attempt) -> str:
    who = f"{attempt.provider}/{attempt.model}"
    why = f": {attempt.message}" if attempt.message else ""
    if attempt.skipped:
        end = f" {until(attempt.skipped_until)}" if attempt.skipped_until else ""
        return f"{who}: passed over: {attempt.reason}{end}{why}"
    return f"{who}: {attempt.reason or 'delivered'} after {attempt.seconds:.1f} s{why}"
