"""The training loop under Ray Train, against the bare loop and against plain PyTorch under torchrun.

    one worker, two workers    steps per second of the same training, at one thread a worker
    two workers against one    what the second worker brings, on a machine with two cores

Start-up does not count: the loop counts its own seconds.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import torch

from pipelines.cluster.launch import launch
from pipelines.params.schema import Cluster

from ._rows import Row, publish
from ._toy_training import steps_per_second, train

RUNS = 3


def main() -> None:
    torch.set_num_threads(1)
    measures = {
        "bare": bare,
        "one": partial(under_ray, 1),
        "two": partial(under_ray, 2),
        "torchrun one": partial(under_torchrun, 1),
        "torchrun two": partial(under_torchrun, 2),
    }
    taken: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(RUNS):
        for name, measure in measures.items():
            with tempfile.TemporaryDirectory() as folder:
                taken[name].append(measure(Path(folder)))
    found = {name: statistics.median(values) for name, values in taken.items()}
    rows = [
        row("one worker of Ray Train", found["one"], found["bare"], "the bare loop"),
        row("one worker of Ray Train", found["one"], found["torchrun one"], "torchrun"),
        row("two workers of Ray Train", found["two"], found["torchrun two"], "torchrun, two processes"),
        row("two workers of Ray Train", found["two"], found["one"], "one worker"),
    ]
    publish("cluster", rows)


def bare(folder: Path) -> float:
    """The loop in this process."""
    train(folder)
    return steps_per_second(folder)


def under_ray(workers: int, folder: Path) -> float:
    """The loop in workers of Ray Train."""
    launch("toy", folder.name, partial(train, folder / "state"), Cluster(workers=workers, gpus_per_worker=0), folder)
    return steps_per_second(folder / "state")


def under_torchrun(workers: int, folder: Path) -> float:
    """Plain PyTorch."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(workers)]
    peer = [*command, "-m", "benchmarks._torchrun_peer", str(folder / "found")]
    subprocess.run(peer, check=True, cwd=Path(__file__).parents[1], capture_output=True)
    return float((folder / "found").read_text())


def row(case: str, ours: float, other: float, name: str) -> Row:
    return Row(case, ours, other, name, "steps/s", True, "cpu", 1, RUNS)


if __name__ == "__main__":
    main()
