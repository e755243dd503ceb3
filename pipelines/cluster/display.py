"""What people see of tasks that run at once: what runs, how far, how long still; in the end what took how long."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from ..progress import Pace
from .tasks import Standing, Task

WIDTH = 120


class Display:
    """Lines of tasks as they come; below them, on a terminal, a bar for all and one for each that runs.

    In a log a line now and then says the same.
    """

    def __init__(self, slots: int | None) -> None:
        self._slots, self._pace, self._console = slots, Pace(), Console()
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[status]}"))
        self._bars = Progress(*columns, console=self._console, transient=True) if self._console.is_terminal else None
        self._ids: dict[str, TaskID] = {}
        self._began = time.monotonic()

    def shown(self) -> AbstractContextManager[object]:
        """Show bars within, on a terminal."""
        return self._bars if self._bars is not None else nullcontext()

    def begin(self, standings: Collection[Standing]) -> None:
        """Say what will be done, and about how long it takes."""
        waiting = [each.task for each in standings if each.state == "waiting"]
        counts: dict[str, int] = {}
        for task in waiting:
            stage = task.name.partition("@")[0]
            counts[stage] = counts.get(stage, 0) + 1
        what = ", ".join(f"{count} × {stage}" if count > 1 else stage for stage, count in counts.items())
        left = time_left(standings, self._slots)
        unknown = sum(task.seconds is None for task in waiting)
        about = f"about {duration(left)}" if left else "nothing like it ran here yet"
        more = f", and {unknown} of which nothing is known yet" if left and unknown else ""
        self.say(f"run: to do: {what}: {about}{more}")

    def say(self, line: str) -> None:
        """Print a line of a task."""
        if self._bars is not None:
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            print(line, flush=True)

    def show(self, standings: Collection[Standing]) -> None:
        """Show how everything stands."""
        running = [each for each in standings if each.state == "running"]
        ended = sum(each.state in ("finished", "failed", "skipped") for each in standings)
        left = time_left(standings, self._slots)
        status = f"about {duration(left)} left" if left else ""
        if self._bars is not None:
            self._show_bars(running, f"{ended} of {len(standings)}", status, ended / len(standings))
        elif self._pace.due():
            names = ", ".join(f"{each.task.name}{_percentage(each)}" for each in running)
            print(f"run: {ended} of {len(standings)} done; running: {names}; {status}", flush=True)

    def _show_bars(self, running: Iterable[Standing], head: str, status: str, share: float) -> None:
        assert self._bars is not None  # as is asked before
        rows: Mapping[str, tuple[float, float, str]] = {
            f"run {head}": (share, 1.0, status),
            **{each.task.name: (each.done, each.total or 1, _percentage(each).strip()) for each in running},
        }
        for name in [name for name in self._ids if name not in rows]:
            self._bars.remove_task(self._ids.pop(name))
        for name, (done, total, text) in rows.items():
            if name not in self._ids:
                self._ids[name] = self._bars.add_task(name, total=total, status=text)
            self._bars.update(self._ids[name], completed=done, total=total, status=text)

    def end(self, standings: Collection[Standing]) -> None:
        """Say what took how long, as long as it ran beside others; of what was done before, nothing."""
        took = sorted((each for each in standings if each.seconds), key=lambda each: -each.seconds)
        listed = ", ".join(f"{each.task.name} {duration(each.seconds)}" for each in took)
        whole, apart = time.monotonic() - self._began, sum(each.seconds for each in took)
        if took:
            self.say(textwrap.fill(f"run: took: {listed}", WIDTH, subsequent_indent="  "))
        finished = sum(each.state == "finished" for each in standings)
        both = f"finished in {duration(whole)}; their times add up to {duration(apart)}"
        self.say(f"run: {finished} of {len(standings)} {both}")


def _percentage(standing: Standing) -> str:
    return f" {100 * standing.done // standing.total} %" if standing.total else ""


def duration(seconds: float) -> str:
    """Seconds in words."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def time_left(standings: Collection[Standing], slots: int | None) -> float:
    """About how many seconds are left: of all work over `slots` of it at once, or of the longest way to the end.

    Without a known number of slots there is room for all.
    """
    left = {each.task.name: _left(each) for each in standings if each.state in ("waiting", "running")}
    tasks = {each.task.name: each.task for each in standings if each.task.name in left}
    alone = sum(left[name] for name, task in tasks.items() if task.alone)
    longest = max((way(name, tasks, left) for name, task in tasks.items() if not task.alone), default=0.0)
    return alone + max(longest, (sum(left.values()) - alone) / slots if slots else 0.0)


def _left(standing: Standing) -> float:
    expected = standing.task.seconds or 0.0
    if standing.state != "running":
        return expected
    spent = time.monotonic() - standing.began
    if standing.total and standing.done:
        return spent * (standing.total / standing.done - 1)
    return max(0.0, expected - spent)


def way(name: str, tasks: Mapping[str, Task], seconds: Mapping[str, float]) -> float:
    """The seconds from the start of a task to the end of all that comes after it."""
    after = (way(each.name, tasks, seconds) for each in tasks.values() if name in each.after and not each.alone)
    return seconds[name] + max(after, default=0.0)
