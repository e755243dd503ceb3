"""Progress of long work: a bar on a terminal, a line now and then in a log, or wherever else a listener takes it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

FIRST_SECONDS = 15.0  # before the first line in a log; each line lets the next wait twice as long,
LONGEST_SECONDS = 600.0  # up to this: short work says little, and work of hours is never silent for long


class Advance(Protocol):
    """Tells the progress that `step` is done, and how things stand."""

    def __call__(self, step: int, status: str, last: bool = False) -> None: ...


class Listener(Protocol):
    """Is told how far work of a name is, in place of a terminal or a log."""

    def __call__(self, name: str, step: int, total: int) -> None: ...


_listeners: list[Listener] = []


@contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """Within, progress goes to a listener."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.pop()


class Pace:
    """When a log may have another line: after 15 s, then after twice as long each time, up to ten minutes."""

    def __init__(self) -> None:
        self._wait, self._last = FIRST_SECONDS, time.monotonic()

    def due(self) -> bool:
        """Is it time for a line? Asked once for each."""
        now = time.monotonic()
        if now - self._last < self._wait:
            return False
        self._last, self._wait = now, min(2 * self._wait, LONGEST_SECONDS)
        return True


@contextmanager
def progress(name: str, start: int, total: int, unit: str = "step") -> Iterator[Advance]:
    """Show the way from `start` to `total`, counted in units, of what is called `name`."""
    if _listeners:
        listener = _listeners[-1]
        listener(name, start, total)
        yield lambda step, status, last=False: listener(name, step, total)
        return
    console = Console()
    if console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, TextColumn("{task.fields[status]}"), console=console) as bar:
            task = bar.add_task(name, total=total, completed=start, status="")
            yield lambda step, status, last=False: bar.update(task, completed=step, status=status)
        return

    pace = Pace()

    def line(step: int, status: str, last: bool = False) -> None:
        if not last and pace.due():
            print(f"{name}: {unit} {step}/{total}  {status}".rstrip(), flush=True)

    yield line
