"""Arrays on disk, written and read a chunk at a time, so that data of any size needs little memory.

A memory map would do for the arithmetic, but every page of it that was touched counts as memory of the process.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from ..errors import UserError
from .spread import spread

CHUNK_BYTES = 8 << 20
MOST_BUFFERS = 1024  # of one preadv; POSIX calls it IOV_MAX


class Rows:
    """The array (N, …) of a .npy file. Messages call it by its `name`, by default the path."""

    def __init__(self, path: Path, name: str | None = None) -> None:
        """Raises `UserError` for a file that is no plain array, or is shorter than its header says."""
        self.path, self.name = path, name or str(path)
        with path.open("rb") as file:
            try:
                version = npy.read_magic(file)
                read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
                self.shape, fortran, self.dtype = read(file)
            except ValueError as error:
                raise UserError(
                    f"{self.name}: is no .npy file, or a damaged one: {' '.join(str(error).split())}"
                ) from None
            self._start = file.tell()
        self.row_bytes = int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize
        wrong = f"{self.name}: must hold a plain array of numbers in C order, not {self.dtype} {self.shape}"
        if self.dtype.hasobject or not self.shape:
            raise UserError(wrong)
        if path.stat().st_size < self._start + len(self) * self.row_bytes:
            raise UserError(f"{self.name}: is truncated: its header promises an array of shape {self.shape}")
        if fortran and len(self.shape) > 1:
            raise UserError(wrong)

    def __len__(self) -> int:
        return int(self.shape[0])

    @property
    def nbytes(self) -> int:
        """The size of the whole array in memory."""
        return len(self) * self.row_bytes

    def chunks(self, rows: int | None = None) -> Iterator[np.ndarray]:
        """All rows in order, `rows` at a time, by default as many as make 8 MiB."""
        rows = rows or max(1, CHUNK_BYTES // max(1, self.row_bytes))
        with self.path.open("rb") as file:
            file.seek(self._start)
            for start in range(0, len(self), rows):
                yield self._read(file, min(rows, len(self) - start))

    def pieces(self, group: int, step: int) -> Iterator[np.ndarray]:
        """All rows in order, at most `step` at a time, and never of two of the groups of `group` rows at once."""
        with self.path.open("rb") as file:
            file.seek(self._start)
            for start in range(0, len(self), group):
                end = min(start + group, len(self))
                for at in range(start, end, step):
                    yield self._read(file, min(step, end - at))

    def take(self, index: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """The rows `index` (n,), in that order, into `out` where it is given. Threads may do so at the same time.

        The file is read from front to back, neighbours by one call, and the system is asked beforehand for what is
        wanted: a disk then looks for many rows at once.
        """
        taken = np.empty((len(index), *self.shape[1:]), self.dtype) if out is None else out
        if len(index) and not 0 <= index.min() <= index.max() < len(self):
            raise IndexError(f"{self.path}: has {len(self)} rows, not row {index.min()} or {index.max()}")
        places = np.argsort(index, kind="stable")
        rows = index[places]
        firsts = np.flatnonzero(np.diff(rows, prepend=-2) != 1).tolist()  # where a run of neighbours begins
        runs = [
            (self._start + int(rows[at]) * self.row_bytes, places[at : min(at + MOST_BUFFERS, end)])
            for first, end in pairwise([*firsts, len(rows)])
            for at in range(first, end, MOST_BUFFERS)
        ]
        content = taken.reshape(-1).view(np.uint8).reshape(len(taken), self.row_bytes)
        with self.path.open("rb", buffering=0) as file:
            if hasattr(os, "posix_fadvise"):
                for start, run in runs:
                    os.posix_fadvise(file.fileno(), start, len(run) * self.row_bytes, os.POSIX_FADV_WILLNEED)
            for start, run in runs:
                got = os.preadv(file.fileno(), [content[place] for place in run], start)
                if got != len(run) * self.row_bytes:
                    raise UserError(f"{self.name}: is truncated: its header promises an array of shape {self.shape}")
        return taken

    def whole(self) -> np.ndarray:
        """All rows, in memory."""
        count = int(np.prod(self.shape, dtype=np.int64))
        return np.fromfile(self.path, self.dtype, count, offset=self._start).reshape(self.shape)

    def spread(self, count: int) -> np.ndarray:
        """At most `count` rows, evenly spread over all."""
        return self.take(spread(len(self), count))

    def _read(self, file: Any, rows: int) -> np.ndarray:
        content = np.frombuffer(bytearray(file.read(rows * self.row_bytes)), self.dtype)
        return content.reshape(rows, *self.shape[1:])


class RowsWriter:
    """A .npy file that grows by chunks; it is whole once the `with` block has ended."""

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: Any) -> None:
        self.path, self.shape, self.dtype, self.count = path, shape, np.dtype(dtype), 0

    def __enter__(self) -> RowsWriter:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("wb")
        self._file.write(self._header())
        return self

    def append(self, rows: np.ndarray) -> None:
        """Add rows (n, *shape) at the end."""
        assert rows.shape[1:] == self.shape, (rows.shape, self.shape)
        try:
            self._file.write(np.ascontiguousarray(rows, self.dtype).data)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from error
        self.count += len(rows)

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        with self._file:
            if kind is None:
                self._file.seek(0)
                self._file.write(self._header())  # of the same length: NumPy leaves room for the count to grow
                self._file.flush()
                os.fsync(self._file.fileno())

    def _header(self) -> bytes:
        header = io.BytesIO()
        described = {
            "descr": npy.dtype_to_descr(self.dtype),
            "fortran_order": False,
            "shape": (self.count, *self.shape),
        }
        npy.write_array_header_1_0(header, described)
        return header.getvalue()
