"""Progress of long work: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

QUIET_SECONDS = 15.0  # a log gets at most a line in this time


class Advance(Protocol):
    """Tells the progress that `step` is done, and how things stand."""

    def __call__(self, step: int, status: str, last: bool = False) -> None: ...


@contextmanager
def progress(name: str, start: int, total: int, unit: str = "step") -> Iterator[Advance]:
    """Show the way from `start` to `total`, counted in units, of what is called `name`."""
    console = Console()
    if console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, TextColumn("{task.fields[status]}"), console=console) as bar:
            task = bar.add_task(name, total=total, completed=start, status="")

            def advance(step: int, status: str, last: bool = False) -> None:
                bar.update(task, completed=step, status=status)

            yield advance
        return

    printed = time.monotonic()

    def line(step: int, status: str, last: bool = False) -> None:
        nonlocal printed
        if last or time.monotonic() - printed >= QUIET_SECONDS:
            printed = time.monotonic()
            print(f"{name}: {unit} {step}/{total}  {status}".rstrip(), flush=True)

    yield line
