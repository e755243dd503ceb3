"""The data-parallel workers of a training, as torch.distributed knows them: one, where it is not initialised.

They share the rows of a global batch, as evenly as can be, and take every decision together.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor
from torch import distributed as dist

from ..device import WORKERS

T = TypeVar("T")


class Workers:
    """How many there are, which of them this one is, and how they agree."""

    def __init__(self, device: torch.device) -> None:
        self.rank, self.number = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        if self.number != (there := int(os.environ.get(WORKERS, self.number))):
            # Ray Train dissolves the group of a worker whose peer was lost while it began: it must not go on alone.
            raise dist.DistError(f"the group of {there} workers is gone")
        self._device = device

    @property
    def is_first(self) -> bool:
        """Is this the one that speaks and writes for all?"""
        return self.rank == 0

    def rows(self, batch: int) -> slice:
        """The rows of a global batch that are this worker's."""
        return slice(self.rank * batch // self.number, (self.rank + 1) * batch // self.number)

    def weight(self, batch: int) -> float:
        """The factor on this worker's mean over its rows with which the mean over workers is that over the batch."""
        mine = self.rows(batch)
        return (mine.stop - mine.start) * self.number / batch

    def mean(self, value: Tensor) -> float:
        """The mean of a number over the workers."""
        if self.number > 1:
            dist.all_reduce(value)
        return float(value) / self.number

    def agreed(self, value: float) -> float:
        """The first worker's value, so that all take the same decisions."""
        if self.number == 1:
            return value
        tensor = torch.tensor(value, dtype=torch.float64, device=self._device)
        dist.broadcast(tensor, 0)
        return float(tensor)

    def told(self, find: Callable[[], T]) -> T:
        """What the first worker finds, told to all: no other reads a file, which might not be there for it yet."""
        if self.number == 1:
            return find()
        found = [find() if self.is_first else None]
        dist.broadcast_object_list(found, src=0, device=self._device)
        return found[0]  # type: ignore[return-value]

    def meet(self) -> None:
        """Wait for all."""
        if self.number > 1:
            dist.barrier()
