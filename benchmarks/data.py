"""Training from a data set that is larger than the memory it is allowed, against the same training in memory.

A small VAE takes the very same steps on both sides; the streamed side reads its rows from a file as it goes. Both
sides start and end as a real training does, the last checkpoint included. The file is in the page cache of the system
as far as that has room for it: on a disk that is never cached, streaming is as fast as the disk.
"""

from __future__ import annotations

import io
import shutil
import statistics
import tempfile
import time
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import torch

from models.contract import Event
from models.vae import VAE
from pipelines.data.examples import Examples
from pipelines.data.rows import Rows, RowsWriter
from pipelines.params.schema import Loop
from pipelines.storage import Folder
from pipelines.training.loop import fit
from pipelines.training.task import Task

from ._rows import Row, device_name, pick_device, publish

EVENT = Event((1, 28, 28), 256)
EXAMPLES = 400_000  # 299 MiB
LIMIT = 64 << 20  # of the streamed side
BATCH = 128
STEPS = 200  # of a turn
RUNS = 11
DEMANDED = 0.8


def write_examples(path: Path) -> None:
    """Images of noise: what they show makes no difference to the time."""
    random = np.random.default_rng(0)
    with RowsWriter(path, EVENT.shape, np.uint8) as writer:
        for _ in range(0, EXAMPLES, 10_000):
            writer.append(random.integers(0, 256, (10_000, *EVENT.shape), dtype=np.uint8))


def steps_per_second(examples: Examples, device: torch.device, folder: Path, seed: int) -> float:
    """Train a new VAE for a turn."""
    torch.manual_seed(0)
    vae = VAE(VAE.Config(hidden=(256, 256)), EVENT).to(device)
    loop = Loop(steps=STEPS, batch_size=BATCH, validate_every=STEPS, checkpoint_every=STEPS)
    task = Task("vae", vae, vae.players(), examples, lambda: {"objective": 0.0})
    with redirect_stdout(io.StringIO()):
        start = time.perf_counter()
        fit(task, loop, seed, Folder(folder))
        seconds = time.perf_counter() - start
    shutil.rmtree(folder)
    return STEPS / seconds


def main() -> None:
    device = pick_device()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.npy"
        write_examples(path)
        sides = [Examples(Rows(path), None, device, limit) for limit in (LIMIT, 1 << 40)]
        assert [side.streamed for side in sides] == [True, False]
        speeds: list[list[float]] = [[], []]
        for run in range(-1, RUNS):  # the first round, which warms up, is not counted
            for side in (0, 1) if run % 2 else (1, 0):
                speed = steps_per_second(sides[side], device, Path(folder) / "state", max(run, 0))
                if run >= 0:
                    speeds[side].append(speed)
    ours, other = (statistics.median(each) for each in speeds)
    threads = torch.get_num_threads()
    case = "vae train streamed"
    row = Row(case, ours, other, "in memory", "steps/s", True, device_name(device), threads, RUNS)
    publish("data", [row])
    assert row.ratio >= DEMANDED, f"streaming must keep {DEMANDED} of the speed in memory, not {row.ratio:.2f}"


if __name__ == "__main__":
    main()
