"""Work in several processes: in order, the same as in one, and its errors are those of the work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipelines.data.sources import parallel
from pipelines.data.sources.parallel import in_chunks
from pipelines.errors import UserError


def squares(numbers: Sequence[int]) -> list[int]:
    return [number**2 for number in numbers]


def refuse_fifty(numbers: Sequence[int]) -> None:
    if 50 in numbers:
        raise UserError("50 is refused")


def die(numbers: Sequence[int]) -> None:
    if 50 in numbers:
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(autouse=True)
def two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_cores", lambda: 2)
    monkeypatch.setattr(parallel, "FEW", 100)


@pytest.mark.parametrize("count", [0, 1, 99, 100, 205])
def test_chunks_come_in_order(count: int) -> None:
    found = list(in_chunks("work", squares, range(count), 10))
    assert [number for chunk, _ in found for number in chunk] == list(range(count))
    assert [square for _, result in found for square in result] == [number**2 for number in range(count)]


@pytest.mark.parametrize("count", [60, 150])
def test_errors_of_the_work_are_raised(count: int) -> None:
    with pytest.raises(UserError, match="50 is refused"):
        list(in_chunks("work", refuse_fifty, range(count), 10))


def test_a_process_that_is_killed_is_one_line() -> None:
    with pytest.raises(UserError, match="was killed, for want of memory perhaps; run it again"):
        list(in_chunks("work", die, range(150), 10))


WAITING = """
import time
from pipelines.data.sources import parallel

if __name__ == "__main__":
    parallel._cores = lambda: 2
    chunks = parallel.in_chunks("test", len, list(range(1000)), 10)
    next(chunks)
    time.sleep(1)  # until the readers have done all that they may do ahead, and wait
    print("reading", flush=True)
    time.sleep(60)
"""


@pytest.mark.slow
def test_readers_end_when_their_command_is_killed(tmp_path: Path, root: Path) -> None:
    script = tmp_path / "waiting.py"
    script.write_text(WAITING)
    command = [sys.executable, script]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"reading\n"
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert ended(process.pid)


def ended(group: int) -> bool:
    """Do all processes of a group end within ten seconds? Those that do not are killed."""
    for _ in range(1000):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    os.killpg(group, signal.SIGKILL)
    return False
