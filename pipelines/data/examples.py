"""A split as the training loop reads it: on the device when it fits, else streamed from its file.

What is streamed is read, not mapped: every page of a memory map that was touched counts as memory of the process.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from models.noise import Noise

from ..device import device
from ..params.project import Project
from .prepared import Prepared
from .rows import Rows
from .spread import spread

AHEAD = 3  # batches of streamed examples that are read before they are asked for

Rowwise = tuple[Tensor, Tensor | None]


class Examples:
    """Examples (N, *event) and their labels (N,), if any, indexed by row.

    A split of at most `limit` bytes is held on the device, which spares a copy per step and any loader worker.
    Examples with `grey_levels` K, integers 0 … K-1, are made black or white whenever they are read: x becomes 1 with
    probability x / (K-1), else 0.
    """

    def __init__(
        self,
        x: np.ndarray | Rows,
        labels: np.ndarray | None,
        device: torch.device | str = "cpu",
        limit: int = 2**32,
        grey_levels: int | None = None,
    ) -> None:
        self.device, self.limit, self.grey_levels = torch.device(device), limit, grey_levels
        self.labels = None if labels is None else torch.from_numpy(np.array(labels)).to(self.device)
        self._array = x
        self._resident: Tensor | None = None
        if x.nbytes <= limit:
            whole = x.whole() if isinstance(x, Rows) else np.array(x)
            self._resident = torch.from_numpy(whole).to(self.device)

    def __len__(self) -> int:
        return len(self._array)

    @property
    def streamed(self) -> bool:
        """Are examples read from their file when they are asked for?"""
        return self._resident is None

    @property
    def row_bytes(self) -> int:
        """The size of one example."""
        return self._array.nbytes // max(1, len(self))

    def rows(self, index: Tensor, noise: Noise | None = None) -> Rowwise:
        """The examples and labels at the rows `index` (n,) of a CPU tensor.

        Where grey examples are made black or white, `noise` decides; without it a row is the same each time.
        """
        held = self._resident
        x = self.to_device(self.read(index)) if held is None else held[index.to(self.device)]
        return self.finished(x, index, noise)

    def head(self, n: int) -> Rowwise:
        """N rows, or all if there are fewer, evenly spread over the split: data may be sorted."""
        return self.rows(torch.from_numpy(spread(len(self), n)))

    def batches(self, size: int) -> Iterator[Rowwise]:
        """All rows in order, at most `size` at a time."""
        for start in range(0, len(self), size):
            yield self.rows(torch.arange(start, min(start + size, len(self))))

    # The parts of `rows`, for a thread that reads and another that computes

    def read(self, index: Tensor) -> Tensor:
        """The streamed examples at some rows, as they are stored, in memory from which a GPU can fetch them."""
        cuda = self.device.type == "cuda"
        dtype = torch.from_numpy(np.empty(0, self._array.dtype)).dtype
        with torch.cuda.device(self.device) if cuda else nullcontext():
            x = torch.empty((len(index), *self._array.shape[1:]), dtype=dtype, pin_memory=cuda)
        if isinstance(self._array, Rows):
            self._array.take(index.numpy(), out=x.numpy())
        else:
            np.take(self._array, index.numpy(), axis=0, out=x.numpy())
        return x

    def to_device(self, x: Tensor) -> Tensor:
        """What was read, on its way to the device: a GPU fetches it while Python goes on."""
        return x.to(self.device, non_blocking=True)

    def finished(self, x: Tensor, index: Tensor, noise: Noise | None) -> Rowwise:
        """Examples on the device as a model sees them, with their labels."""
        if self.grey_levels is not None:
            u = noise.uniform(*x.shape[1:]) if noise is not None else _uniform_of_rows(index, x.shape[1:])
            x = (u.to(x.device) * (self.grey_levels - 1) < x).to(x.dtype)
        return x, None if self.labels is None else self.labels[index.to(self.device)]


class Feed:
    """The batches of a training, step by step, of which `rows` says the rows.

    Streamed examples are read ahead by a thread, up to the step `steps`. The rows of a step depend on nothing but the
    step, so what is read ahead is what an interrupted training reads when it resumes.
    """

    def __init__(self, examples: Examples, rows: Callable[[int], Tensor], steps: int) -> None:
        self.examples, self.rows, self.steps = examples, rows, steps
        self._reader: ThreadPoolExecutor | None = None
        self._ahead: deque[tuple[int, Future[tuple[Tensor, Tensor]]]] = deque()
        self._current: tuple[int, Tensor, Tensor] | None = None

    def batch(self, step: int, noise: Noise | None = None) -> Rowwise:
        """The batch of a step; each move of the step may ask for it."""
        if not self.examples.streamed:
            return self.examples.rows(self.rows(step), noise)
        if self._current is None or self._current[0] != step:
            self._current = None
            index, x = self._next(step)
            self._current = step, index, self.examples.to_device(x)
        _, index, x = self._current
        return self.examples.finished(x, index, noise)

    def close(self) -> None:
        """Read nothing more."""
        if self._reader is not None:
            self._reader.shutdown(cancel_futures=True)
        self._reader, self._current = None, None
        self._ahead.clear()

    def _next(self, step: int) -> tuple[Tensor, Tensor]:
        """The rows of a step, and what stands there; an error of the reading thread is raised here."""
        if self._ahead and self._ahead[0][0] != step:
            self.close()
        if not self._ahead:
            index, x = self._read(step)
            if (AHEAD + 2) * x.nbytes > self.examples.limit:  # a few more of them would break the limit
                return index, x
            self._reader = self._reader or ThreadPoolExecutor(1, "examples")
            following = step
        else:
            index, x = self._ahead.popleft()[1].result()
            following = self._ahead[-1][0] if self._ahead else step
        assert self._reader is not None
        for coming in range(following + 1, min(step + AHEAD, self.steps - 1) + 1):
            self._ahead.append((coming, self._reader.submit(self._read, coming)))
        return index, x

    def _read(self, step: int) -> tuple[Tensor, Tensor]:
        index = self.rows(step)
        return index, self.examples.read(index)


def examples(project: Project, data: Prepared, split: str) -> Examples:
    """A split, on this process's device if it fits; of grey images that each step makes black or white, `train`."""
    labels, levels = data.split(split).labels, data.meta.get("each_step") if split == "train" else None
    limit = project.params.cluster.memory_limit << 20
    return Examples(Rows(data.folder / f"{split}.npy"), labels, device(), limit, levels)


def batch_rows(n: int, batch_size: int, step: int, seed: int) -> Tensor:
    """The rows of step `step`: positions step·B … step·B+B-1 in an endless row of shuffles of 0 … n-1.

    A function of the step alone, so that the position in the data is resumed with the step.
    """
    first, end = step * batch_size, (step + 1) * batch_size
    parts = []
    for epoch in range(first // n, (end - 1) // n + 1):
        start = epoch * n
        parts.append(_shuffle(n, seed, epoch)[max(first - start, 0) : end - start])
    return torch.cat(parts)


@lru_cache(maxsize=2)
def _shuffle(n: int, seed: int, epoch: int) -> Tensor:
    return torch.randperm(n, generator=torch.Generator().manual_seed(seed * 1_000_003 + epoch))


def _uniform_of_rows(index: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Uniform numbers (n, *shape) that depend on the row's number alone, whichever rows are asked for with it."""
    generator, u = torch.Generator(), torch.empty((len(index), *shape))
    for place, row in enumerate(index.tolist()):
        torch.rand(shape, generator=generator.manual_seed(row), out=u[place])
    return u
