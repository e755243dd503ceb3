"""How much memory this process may use: that of the machine, and no more than its container is granted.

A container with a limit sees all memory of its machine. Linux says the limit in files of its control groups: of version
2 in `memory.max`, of version 1 in `memory.limit_in_bytes`; a group has no more than the groups that it lies in.
"""

from __future__ import annotations

from pathlib import Path

import psutil

from .control_groups import folders

LIMITS = ("memory.max", "memory.limit_in_bytes")


def available_memory(root: Path = Path("/")) -> int:
    """In bytes, whoever uses some of it now."""
    return min([psutil.virtual_memory().total, *memory_limits(root)])


def memory_limits(root: Path = Path("/")) -> list[int]:
    """The bytes that control groups of this process grant, below the file system `root`."""
    found = []
    for folder in folders(root, "memory"):
        for name in LIMITS:
            try:
                found.append(int((folder / name).read_text()))
            except (OSError, ValueError):  # there is no such file, or it says "max"
                continue
    return found
