"""A column of numbers in order of time, cut into windows of fixed length."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from ...errors import UserError
from ...files import file_digest
from ...params.source_section import Count
from ...params.table_sections import Series, Table, WrittenOptions
from . import Part, Source
from .audio import cut
from .choosing import listed, unknown
from .finding import existing, put
from .frames import SUFFIXES, TableFile, sentences


def read(data: Series, root: Path, spool: Path) -> Source:
    """Windows as vectors (N, window), or as sequences (N, 1, window) of integers where `levels` are given.

    One series is cut in time into its splits, so that no row is in two of them; recordings are kept whole.
    """
    path = existing(root / data.path)
    file = _file(path, data)
    values, recordings = _column(file, data)
    hop = data.hop or data.window
    if values.min() == values.max():
        raise UserError(f"{path}: column {data.column!r} is constant, {values[0]:g} in all rows: it has no density")
    if recordings is None:
        pieces = _in_time(values, data, hop, path)
        parts = {split: _part(spool, split, _windows(piece, data, hop), data) for split, piece in pieces.items()}
    else:
        each = [_windows(values[rows], data, hop) for rows in _runs(recordings)]
        if not sum(map(len, each)):
            raise UserError(f"{path}: no recording is as long as a window of {data.window}: lower data.window")
        numbers = np.repeat(np.arange(len(each)), [len(windows) for windows in each])
        part = _part(spool, "train", np.concatenate(each), data)
        parts = {"train": Part(part.x, recordings=put(spool, "recordings", numbers))}
    decisions = [
        f"{len(values):,} rows of column {data.column} were cut into windows of {data.window}, one every {hop}.",
        *sentences([file]),
    ]
    columns = [] if data.levels is not None else [f"t{step}" for step in range(data.window)]
    meta = {"encoding": data.encoding if data.levels else None}
    checksums = {path.name: file_digest(path)}
    return Source(parts, data.levels, "series", [], columns, decisions, checksums, meta)


def _column(file: TableFile, data: Series) -> tuple[np.ndarray, np.ndarray | None]:
    """The numbers of the series, and which recording each belongs to."""
    path = file.path
    wanted = [data.column, *([data.recording] if data.recording else [])]
    wrong = [unknown(key, [name], file.header) for key, name in zip(("column", "recording"), wanted, strict=False)]
    if any(wrong):
        raise UserError(f"params.yaml: {'; '.join(filter(None, wrong))}; {listed(file.header)}")
    chunks = [chunk for chunk, _ in file.frames(wanted, wanted[1:])]
    if not chunks:
        raise UserError(f"{path}: has no rows")
    frame = pd.concat(chunks)
    values = pd.to_numeric(frame[data.column], errors="coerce").to_numpy(np.float64, na_value=np.nan)
    wrong = ~(np.abs(values) <= np.finfo(np.float32).max)
    if wrong.any():
        row = int(wrong.argmax())
        value = frame[data.column].iloc[row]
        raise UserError(
            f"{path}: column {data.column!r}, row {row + 1}: {value!r} is no finite number, or too large for"
            " a float32; mend the file"
        )
    if data.recording is None:
        return values, None
    if frame[data.recording].isna().any():
        row = int(frame[data.recording].isna().to_numpy().argmax())
        raise UserError(f"{path}: column {data.recording!r}, row {row + 1}: a name is missing; mend the file")
    return values, frame[data.recording].to_numpy(object)


def _file(path: Path, data: Series) -> TableFile:
    """The file, read as a table with the same options."""
    given = data.model_dump(include=set(WrittenOptions.model_fields), exclude_unset=True)
    if path.is_dir():
        raise UserError(f"params.yaml: data.path: {path}: is a folder; a series is a column of one file: name that")
    source = "parquet" if path.suffix.lower() in SUFFIXES["parquet"] else "csv"
    table = Table.model_validate({**given, "source": source, "path": data.path, "encoding": data.text_encoding})
    return TableFile(path, table, encoding_key="text_encoding")


def _in_time(values: np.ndarray, data: Series, hop: int, path: Path) -> dict[str, np.ndarray]:
    """The rows of train, val and test, one behind the other; each holds whole windows of its own."""
    windows = len(_starts(len(values), data.window, hop))
    counts = {"test": _count(data.test_count, windows), "val": _count(data.val_count, windows)}
    pieces, end = {}, len(values)
    for split, count in counts.items():
        start = end - ((count - 1) * hop + data.window)
        pieces[split], end = values[max(0, start) : end], start
    if end < data.window:
        held_out = f"data.val_count + data.test_count: {sum(counts.values())}"
        raise UserError(
            f"params.yaml: {held_out} is not allowed: {path.name} has {windows} windows, and some"
            " must be left to train on"
        )
    return {"train": values[:end], **pieces}


def _count(asked: Count, windows: int) -> int:
    return max(1, round(asked * windows)) if isinstance(asked, float) else asked


def _starts(length: int, window: int, hop: int) -> range:
    return range(0, length - window + 1, hop)


def _windows(values: np.ndarray, data: Series, hop: int) -> np.ndarray:
    return cut(values, data.window, hop, pad=False, filler=0)[0]


def _runs(recordings: np.ndarray) -> list[slice]:
    """The rows of each recording, which stand together. A UserError names one that comes back."""
    starts = [0, *(np.flatnonzero(recordings[1:] != recordings[:-1]) + 1), len(recordings)]
    names = [recordings[start] for start in starts[:-1]]
    again = [name for name, count in Counter(names).items() if count > 1]
    if again:
        raise UserError(f"params.yaml: data.recording: the rows of {again[0]!r} do not stand together: sort them")
    return [slice(start, stop) for start, stop in pairwise(starts)]


def _part(spool: Path, split: str, windows: np.ndarray, data: Series) -> Part:
    """Real numbers; where levels are asked for, these are found once it is known which rows are trained on."""
    if data.levels is None:
        return Part(put(spool, split, windows.astype(np.float32)))
    return Part(put(spool, split, windows[:, None]))
