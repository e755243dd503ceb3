"""Commands as a user runs them: in the environment of a plain shell, not in that of whoever develops.

Variables of development hide faults: PYTHONDONTWRITEBYTECODE kept bytecode out of folders that DVC watches.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PROGRAMS = Path(sys.executable).parent
# What a shell has everywhere, and what a machine may need to be usable at all.
KEPT = ("HOME", "LANG", "LOGNAME", "PATH", "TERM", "TMPDIR", "USER", "SSL_CERT_FILE", "OPENBLAS_CORETYPE")
HANGING = 1500  # seconds after which a command counts as hanging


def shell(**more: str) -> dict[str, str]:
    """A user's environment with the project's programs in front, and with `more` variables."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {**kept, "PATH": f"{PROGRAMS}{os.pathsep}{kept['PATH']}", **more}


def run(folder: Path, *command: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder, with `more` variables in its environment; what it prints is shown if a test fails."""
    done = subprocess.run(
        command, cwd=folder, env=shell(**more), capture_output=True, check=False, text=True, timeout=HANGING
    )
    print(done.stdout, done.stderr)
    return done


def killed_tree(pid: int) -> None:
    """Kill a process and all its descendants, as a machine that fails would."""
    listing = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = dict(tuple(map(int, line.split())) for line in listing.splitlines())
    doomed = [pid]
    for victim in doomed:
        doomed.extend(child for child, parent in parents.items() if parent == victim)
    for victim in doomed:
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            continue


def interpreters() -> Iterator[str]:
    """This Python, and every other one of another version that works."""
    yield sys.executable
    seen = {sys.version_info[:2]}
    for minor in range(8, 20):
        found = shutil.which(f"python3.{minor}")
        if (3, minor) in seen or found is None:
            continue
        if subprocess.run([found, "-V"], capture_output=True, check=False).returncode == 0:
            yield found
