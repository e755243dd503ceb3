"""How many CPUs this process may use: those it may run on, and no more than its container is granted time of.

A container with a quota sees every processor of its machine. Linux says the quota in files of its control groups: of
version 2 in `cpu.max`, of version 1 in `cpu.cfs_quota_us` and `cpu.cfs_period_us`; a group has no more than the groups
that it lies in.
"""

from __future__ import annotations

import os
from pathlib import Path

from .control_groups import folders


def available_cpus(root: Path = Path("/")) -> int:
    """The CPUs of this process, at least one. Of a quota of 2.5 CPUs two: a third would wait half of the time."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota(root)
    return there if quota is None else max(1, min(there, int(quota)))


def cpu_quota(root: Path = Path("/")) -> float | None:
    """The CPUs that the control groups of this process grant, below the file system `root`; None without a limit."""
    return min((quota for folder in folders(root, "cpu") if (quota := _quota(folder)) is not None), default=None)


def _quota(folder: Path) -> float | None:
    """The quota of one group, in CPUs."""
    try:
        if (folder / "cpu.max").exists():
            granted, period = (folder / "cpu.max").read_text().split()
        else:
            granted, period = ((folder / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
        cpus = float(granted) / float(period)
    except (OSError, ValueError, ZeroDivisionError):  # there is no such file, or it says "max"
        return None
    return cpus if cpus > 0 else None  # -1 is no limit
