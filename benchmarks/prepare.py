"""The prepare stage against what is demanded of it: seconds, and memory above what the interpreter needs.

Each case runs `genera prepare` in a project of its own. Memory is the peak, over the whole tree of processes, of what
they hold for themselves (their unique set size); the limit stands on top of the same for the embedded digits, which
need next to nothing beyond the interpreter and the libraries.
Fashion-MNIST is timed where its files are in data/raw.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
from PIL import Image
from rich.progress import track

from ._rows import Row, publish

DIGITS: dict[str, Any] = {"source": "digits", "path": "."}
JPEGS, FILES, TABLE_BYTES = 60_000, 50_000, 4 << 30
SECONDS = {"fashion_mnist": 20.0, "jpeg": 60.0}
MEMORY = 1024.0  # MiB above what the interpreter needs


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _, base = measure(folder / "digits", DIGITS)
        rows = [*fashion_mnist(), *jpeg_files(folder, base), table(folder, base)]
    publish("prepare", rows)
    late = [f"{row.case}: {row.ours:.1f} {row.unit}" for row in rows if row.ratio < 1]
    assert not late, f"over the limit: {'; '.join(late)}"


def fashion_mnist() -> list[Row]:
    raw = Path("data/raw").resolve()
    if not (raw / "FashionMNIST" / "raw").exists():
        print("data/raw has no Fashion-MNIST: not timed")
        return []
    with tempfile.TemporaryDirectory() as name:
        shutil.copytree(raw / "FashionMNIST", Path(name) / "data/raw/FashionMNIST")
        seconds, _ = measure(Path(name), {"source": "fashion_mnist", "path": "data/raw"})
    return [row("prepare fashion_mnist", seconds, SECONDS["fashion_mnist"], "s")]


def jpeg_files(folder: Path, base: float) -> list[Row]:
    """The files are made of two hundred different pictures: what they show makes no difference to the time."""
    project, random = folder / "jpeg", np.random.default_rng(0)
    pictures = []
    for _ in range(200):
        file = io.BytesIO()
        Image.fromarray(random.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(file, "JPEG")
        pictures.append(file.getvalue())
    for index in track(range(JPEGS), "making JPEG files"):
        path = project / "images" / str(index % 10) / f"{index}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pictures[index % len(pictures)])
    data = {"source": "images", "path": "images", "test_count": 0.1}
    seconds, _ = measure(project, data)
    for index in range(FILES, JPEGS):
        (project / "images" / str(index % 10) / f"{index}.jpg").unlink()
    _, memory = measure(project, data)
    shutil.rmtree(project)
    case = f"prepare {JPEGS:,} JPEG files"
    return [
        row(case, seconds, SECONDS["jpeg"], "s"),
        row(f"prepare {FILES:,}-file folder, peak memory", memory, base + MEMORY, "MiB"),
    ]


def table(folder: Path, base: float) -> Row:
    project, random = folder / "table", np.random.default_rng(0)
    project.mkdir()
    names = [f"c{index}" for index in range(8)]
    block = pd.DataFrame(random.normal(size=(200_000, 8)), columns=names).to_csv(index=False, header=False).encode()
    with (project / "table.csv").open("wb") as file:
        file.write((",".join(names) + "\n").encode())
        for _ in track(range(TABLE_BYTES // len(block) + 1), "making a table"):
            file.write(block)
    seconds, memory = measure(project, {"source": "csv", "path": "table.csv", "test_count": 0.1})
    shutil.rmtree(project)
    print(f"the table took {seconds:.0f} s")
    return row(f"prepare {TABLE_BYTES >> 30} GiB table, peak memory", memory, base + MEMORY, "MiB")


def row(case: str, ours: float, limit: float, unit: str) -> Row:
    return Row(case, ours, limit, "limit", unit, False, "cpu", len(os.sched_getaffinity(0)), 1)


def measure(project: Path, data: dict[str, Any]) -> tuple[float, float]:
    """Seconds of a `genera prepare`, and the peak of its memory in MiB."""
    project.mkdir(parents=True, exist_ok=True)
    (project / "params.yaml").write_text(json.dumps({"data": data, "entries": {}}))
    began, peak = time.perf_counter(), 0
    with subprocess.Popen([sys.executable, "-m", "pipelines.cli", "prepare"], cwd=project) as process:
        while process.poll() is None:
            peak = max(peak, held(process.pid))
            time.sleep(0.1)
    assert process.returncode == 0
    return time.perf_counter() - began, peak / 2**20


def held(pid: int) -> int:
    """Bytes that a process and its children hold for themselves."""
    total = 0
    try:
        for process in (parent := psutil.Process(pid), *parent.children(recursive=True)):
            try:
                total += process.memory_full_info().uss
            except psutil.Error:
                continue  # it has ended meanwhile
    except psutil.NoSuchProcess:
        return 0
    return total


if __name__ == "__main__":
    main()
