"""A split as the training loop reads it: on the device when it fits, else streamed from its memory map."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor


class Examples:
    """Examples (N, *event) and their labels (N,), if any, indexed by row.

    A split of at most `limit` bytes is held on the device, which spares a copy per step and any loader worker.
    """

    def __init__(
        self, x: np.ndarray, labels: np.ndarray | None, device: torch.device | str = "cpu", limit: int = 2**32
    ) -> None:
        self.device = torch.device(device)
        self._array = x
        self._resident = torch.from_numpy(np.array(x)).to(self.device) if x.nbytes <= limit else None
        self.labels = None if labels is None else torch.from_numpy(np.array(labels)).to(self.device)

    def __len__(self) -> int:
        return len(self._array)

    def rows(self, index: Tensor) -> tuple[Tensor, Tensor | None]:
        """The examples and labels at the rows `index` (n,) of a CPU tensor."""
        on_device = index.to(self.device)
        labels = None if self.labels is None else self.labels[on_device]
        if self._resident is not None:
            return self._resident[on_device], labels
        # A memory map is read in the order of the file, then put into the order asked for.
        order = index.argsort()
        x = torch.empty((len(index), *self._array.shape[1:]), dtype=torch.from_numpy(self._array[:1].copy()).dtype)
        x[order] = torch.from_numpy(np.ascontiguousarray(self._array[index[order].numpy()]))
        return x.to(self.device), labels

    def head(self, n: int) -> tuple[Tensor, Tensor | None]:
        """The first n rows, or all if there are fewer."""
        return self.rows(torch.arange(min(n, len(self))))

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor | None]]:
        """All rows in order, at most `size` at a time."""
        for index in torch.arange(len(self)).split(size):
            yield self.rows(index)


def batch_rows(n: int, batch_size: int, step: int, seed: int) -> Tensor:
    """The rows of step `step`: positions step·B … step·B+B-1 in an endless row of shuffles of 0 … n-1.

    A function of the step alone, so that the position in the data is resumed with the step.
    """
    first, last = step * batch_size, (step + 1) * batch_size - 1
    epochs = [_shuffle(n, seed, epoch) for epoch in range(first // n, last // n + 1)]
    start = first % n
    return torch.cat(epochs)[start : start + batch_size]


@lru_cache(maxsize=2)
def _shuffle(n: int, seed: int, epoch: int) -> Tensor:
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed * 1_000_003 + epoch))
