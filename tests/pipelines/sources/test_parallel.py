"""Processes that read files end with the command that started them, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

WAITING = """
import time
from pipelines.sources import parallel

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
