"""Rebuilding the default digits: everything at once against one after the other, and against the commit before.

    rebuild       `make repro` in a fresh clone whose environment is made, against the same of the commit before
                  `genera run` came to be
    at once       the same against `genera plan` and `dvc repro` alone, in another fresh clone of this commit
    a finished stage, nothing to do, help
                  what starting costs, against the commit before, in the projects that were rebuilt

Clones are of what is committed. It takes half an hour and more, and says something only on a machine that does nothing
else: so rebuilds are timed once, and the short commands several times in turns.
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ._rows import Row, publish

BEFORE = "a876b6a"  # the last commit before `genera run`
RUNS = 7
ROOT = Path(__file__).parents[1]
UV = Path(shutil.which("uv") or ROOT / ".venv-uv/bin/uv")  # where `make` has put it if there was none


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours, serial, before = (clone(folder / name, commit) for name, commit in CLONES.items())
        rebuilt = seconds(ours, "make", "repro")
        alone = seconds(serial, "genera", "plan") + seconds(serial, "dvc", "repro")
        rows = [
            row("make repro, from empty", rebuilt, seconds(before, "make", "repro"), BEFORE, "s"),
            row("genera run, then dvc repro", rebuilt, alone, "dvc repro alone", "s"),
            in_turns("a finished stage, processor time", ours, before, processor_seconds, "genera", "train", "gmm"),
            in_turns("make repro with nothing to do", ours, before, seconds, "make", "repro"),
            in_turns("genera --help", ours, before, seconds, "genera", "--help"),
        ]
    publish("rebuild", rows)


CLONES = {"ours": "HEAD", "serial": "HEAD", "before": BEFORE}


def clone(folder: Path, commit: str) -> Path:
    """A clone of a commit, with an environment of its own."""
    for command in (
        ("git", "clone", "--quiet", ROOT, folder),
        ("git", "-C", folder, "checkout", "--quiet", commit),
        (UV, "sync", "--quiet", "--frozen", "--compile-bytecode", "--project", folder),
    ):
        subprocess.run(command, check=True, env=environment(folder))
    return folder


def environment(folder: Path) -> dict[str, str]:
    """What a user's shell has, with the programs of a clone in front, and uv."""
    kept = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "OMP_NUM_THREADS")}
    return {**kept, "PATH": os.pathsep.join([str(folder / ".venv/bin"), str(UV.parent), kept["PATH"]])}


def seconds(folder: Path, *command: str) -> float:
    """How long a command takes in a clone."""
    began = time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, env=environment(folder), check=False, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr.decode()}")
    return time.perf_counter() - began


def processor_seconds(folder: Path, *command: str) -> float:
    """How much processor time a command takes in a clone, its own processes included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds(folder, *command)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def in_turns(case: str, ours: Path, before: Path, measure: Callable[..., float], *command: str) -> Row:
    """The medians of a short command in both clones, in turns, after one of each that does not count."""
    taken = [[measure(folder, *command) for folder in (ours, before)] for _ in range(RUNS + 1)][1:]
    mine, other = (statistics.median(each) for each in zip(*taken, strict=True))
    return row(case, mine, other, BEFORE, "s", RUNS)


def row(case: str, ours: float, other: float, name: str, unit: str, runs: int = 1) -> Row:
    return Row(case, ours, other, name, unit, False, "cpu", 1, runs)


if __name__ == "__main__":
    main()
