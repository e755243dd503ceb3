"""What every benchmark shares: fair timing, rows, a table, and a file of results."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from pipelines.files import write_json

SETTLED = 5.0  # seconds after which a call has been warmed up, however few calls that were
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Row:
    """One comparison of ours with one peer, both in `unit`."""

    case: str
    ours: float
    other: float
    other_name: str
    unit: str
    higher_is_better: bool
    device: str
    threads: int
    runs: int

    @property
    def ratio(self) -> float:
        """How many times better ours is; below 1 it is worse."""
        return self.ours / self.other if self.higher_is_better else self.other / self.ours

    def as_json(self) -> dict[str, str | float | bool]:
        """The row as it stands in the file of results."""
        return asdict(self) | {"ratio": self.ratio}


def pick_device() -> torch.device:
    """The GPU if there is one, and one thread of the CPU in any case."""
    torch.set_num_threads(1)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def race(
    case: str,
    ours: Callable[[], object],
    others: Mapping[str, Callable[[], object]],
    device: torch.device,
    *,
    runs: int = 25,
    turn_seconds: float = 0.04,
) -> list[Row]:
    """Time ours and its peers in interleaved turns; a row per peer, in ms per call, with the medians of `runs` turns.

    Whatever slows the machine for a while slows all of them. Every second round runs in reverse order, so that no one
    always follows the same rival. A turn is as many calls as fill `turn_seconds`: short calls are beyond the clock.
    """
    racers = [ours, *others.values()]
    calls = [max(1, math.ceil(turn_seconds / _seconds(call, _warm_up(call, device), device))) for call in racers]
    seconds: list[list[float]] = [[] for _ in racers]
    for run in range(runs):
        order = range(len(racers))
        for i in order if run % 2 == 0 else reversed(order):
            seconds[i].append(_seconds(racers[i], calls[i], device))
    mine, *theirs = (1e3 * statistics.median(each) for each in seconds)
    return [
        Row(case, mine, time_of, name, "ms", False, device_name(device), torch.get_num_threads(), runs)
        for name, time_of in zip(others, theirs, strict=True)
    ]


def device_name(device: torch.device) -> str:
    """The device in words: `cpu`, or the name of the GPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def publish(name: str, rows: Sequence[Row]) -> None:
    """Print the rows as a table, and write them to `benchmarks/results/<name>.json`."""
    first = rows[0]
    runs = " or ".join(map(str, sorted({row.runs for row in rows})))
    table = Table(title=f"{name}: {first.device}, {first.threads} thread(s), medians of {runs} runs")
    for heading in ("case", "ours", "other", "unit", "ratio", "against"):
        table.add_column(heading, justify="right" if heading in ("ours", "other", "ratio") else "left")
    for row in rows:
        ratio = f"[{'green' if row.ratio >= 1 else 'red'}]{row.ratio:.2f}[/]"
        table.add_row(row.case, f"{row.ours:.3g}", f"{row.other:.3g}", row.unit, ratio, row.other_name)
    path = RESULTS / f"{name}.json"
    write_json(path, [row.as_json() for row in rows])
    console = Console()
    console.print(table)
    console.print(f"ratio > 1: ours is better. Written to {path}", soft_wrap=True)


def _warm_up(call: Callable[[], object], device: torch.device) -> int:
    """Call it until caches, allocators and lazy initialisation are settled; a count of calls that gives a fair time."""
    calls, spent = 0, 0.0
    while spent < SETTLED and (calls < 3 or (spent < 0.1 and calls < 100)):
        spent += _seconds(call, 1, device)
        calls += 1
    return max(1, calls // 4)


def _seconds(call: Callable[[], object], calls: int, device: torch.device) -> float:
    """Seconds per call, the GPU's work included."""
    _synchronise(device)
    start = time.perf_counter()
    for _ in range(calls):
        call()
    _synchronise(device)
    return (time.perf_counter() - start) / calls


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
