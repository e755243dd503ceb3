"""The device that a worker computes on: which it is, its memory, its random generators, and how many work with it."""

from __future__ import annotations

import os
import re
import resource
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from .machine_memory import available_memory

MIB = 1 << 20
WORKERS = "GENERA_WORKERS"  # the variable that tells a data-parallel worker how many there are, itself included
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")  # of Linux


def device() -> torch.device:
    """The accelerator of this worker, or the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())


def peak_mib(device: torch.device) -> float:
    """The most memory so far in mebibytes: on a GPU that of tensors, else all that was resident, libraries included."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / MIB
    if STATUS.is_file() and (found := re.search(r"^VmHWM:\s+(\d+) kB$", STATUS.read_text(), re.MULTILINE)):
        return int(found[1]) / 1024  # what getrusage gives there is that of the parent, where that was more
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, and kibibytes everywhere else
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MIB


def memory_bytes(device: torch.device) -> int:
    """All memory that a process can have on a device, whoever uses some of it now."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return available_memory()


def forget_peak(device: torch.device) -> None:
    """Let `peak_mib` begin anew: a process may have done other work before. Where that is not possible it goes on."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with suppress(OSError):  # there is no such file elsewhere, and some containers may not write it
            CLEAR.write_text("5")


def random_states(generator: torch.Generator) -> dict[str, Tensor]:
    """The states of every random generator that a training draws from, its own among them."""
    states = {"noise": generator.get_state(), "torch": torch.get_rng_state()}
    on_gpu = generator.device.type == "cuda"
    return {**states, "cuda": torch.cuda.get_rng_state(generator.device)} if on_gpu else states


def set_random_states(generator: torch.Generator, states: Mapping[str, Tensor]) -> None:
    """Undo what was drawn since `random_states`."""
    generator.set_state(states["noise"])
    torch.set_rng_state(states["torch"])
    if generator.device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], generator.device)
