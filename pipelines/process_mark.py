"""By what a process is known after its end: whoever has its mark can tell whether it still lives.

That can be known for certain only on the machine that it ran on, and in its present life: elsewhere nothing is said.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def machine() -> str:
    """A name for this machine and its present life, which no other has; empty where there is none."""
    path = Path("/proc/sys/kernel/random/boot_id")
    namespace = Path("/proc/self/ns/pid")  # a container has process numbers of its own
    if not path.exists():
        return ""
    return f"{path.read_text().strip()} {os.readlink(namespace) if namespace.exists() else ''}"


def mark() -> dict[str, Any]:
    """The mark of this process."""
    return {"host": machine(), "pid": os.getpid(), "started": _started(os.getpid())}


def has_died(marked: Mapping[str, Any]) -> bool:
    """Was that a process of this machine, and is no more? False where it cannot be known."""
    return bool(marked["host"]) and marked["host"] == machine() and _started(marked["pid"]) != marked["started"]


def _started(pid: int) -> str:
    """When a process started, in the system's own count; empty if there is no such process, or that is not known."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""
