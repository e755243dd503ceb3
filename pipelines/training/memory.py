"""How much memory this process has needed."""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path

import torch

MIB = 1 << 20
STATUS = Path("/proc/self/status")  # of Linux


def peak_mib(device: torch.device) -> float:
    """The most memory so far in mebibytes: on a GPU that of tensors, else all that was resident, libraries included."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / MIB
    if STATUS.is_file() and (found := re.search(r"^VmHWM:\s+(\d+) kB$", STATUS.read_text(), re.MULTILINE)):
        return int(found[1]) / 1024  # what getrusage gives there is that of the parent, where that was more
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, and kibibytes everywhere else
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MIB
