"""How much memory this process has needed."""

from __future__ import annotations

import resource
import sys

import torch

MIB = 1 << 20


def peak_mib(device: torch.device) -> float:
    """The most memory so far in mebibytes: on a GPU that of tensors, else all that was resident, libraries included."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / MIB
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, and kibibytes everywhere else
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MIB
