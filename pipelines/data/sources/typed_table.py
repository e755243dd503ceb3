"""A table whose columns have types: CSV, Excel or Parquet, read twice, some rows at a time: first to find the types.

Rows are numbers as typed_rows.py describes them. Where no column has more to it than real numbers, they are the numbers
themselves, and a row is a plain vector.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...errors import UserError
from ...params.table_sections import ColumnOptions, Table
from ...progress import progress
from ..rows import Rows, RowsWriter
from ..tables.deciding import Decided, decide, marks_of_gaps
from ..tables.looking import Look
from ..tables.typed_rows import NAMED, as_texts, encode
from ..tables.wording import said_of_marks, sentence_about_total, sentences_about
from . import Part, Source
from .choosing import Choice, choose, resolved
from .finding import CLASSES, checksum, existing, in_order, some
from .frames import TableFile, open_table, sentences, table_files
from .number_style import as_numbers
from .pixel_columns import pixel_hint

COARSE = 100  # steps of float32 within a standard deviation, below which too little is left of a number
LOOKING = "looking at"
AS_IT_IS = {"mean": 0.0, "std": 1.0}  # of real numbers, until the training split is known


def read(data: Table, root: Path, spool: Path) -> Source:
    """Rows (N, D): float64 with types, in which NaN is a gap, or float32 without."""
    files = {"train": table_files(root / data.path, data)}
    if data.test_path is not None:
        files["test"] = [open_table(existing(root / data.test_path, "data.test_path"), data)]
    every = [file for some_files in files.values() for file in some_files]
    header = every[0].header
    choice = choose(header, data)
    options = resolved(data.told, choice.columns, header)
    last: dict[str, Any] = {}
    looks, labels, whole_rows = _look(files, choice, data, options, last)
    marks = marks_of_gaps(looks.values())
    if marks:
        data = data.model_copy(update={"missing_values": [*data.missing_values, *marks]})
        files = {split: [replace(file, data=data) for file in some_files] for split, some_files in files.items()}
        every = [file for some_files in files.values() for file in some_files]
        looks, labels, whole_rows = _look(files, choice, data, options, last)
    decided = decide(list(looks.values()), options)
    kept = [each for each in decided if each.type is not None]
    if not kept:
        raise UserError(f"params.yaml: data.columns: no column is left: {_reasons(decided)}")
    _check_gaps(data, kept, looks, whole_rows)
    holed = {each.name: data.missing == "model" and looks[each.name].missing > 0 for each in kept}
    types = {each.name: {**AS_IT_IS, **(each.type or {}), "gaps": holed[each.name]} for each in kept}
    plain = not any(_typed(looks[name], kind) for name, kind in types.items()) and data.missing != "mean"
    writer = _Writer(choice, data, types, in_order(labels), np.dtype(np.float32 if plain else np.float64))
    parts = {split: writer.write(split, some_files, spool) for split, some_files in files.items()}
    said = [*sentences_about(decided, looks, writer.dropped, data), *said_of_marks(marks), *sentences(every)]
    whole = all(look.numeric and look.decimals == 0 and 0 <= look.low <= look.high <= 255 for look in looks.values())
    said += sentence_about_total(last)
    said += pixel_hint(choice.columns, whole)
    meta = {
        "types": list(types.values()),
        "why": [each.why for each in kept],
        "plain": plain,
        "missing": data.missing,
        "label": data.label,
    }
    sums = checksum([file.path for file in every], root)
    return Source(parts, None, "columns", in_order(labels), list(types), said, sums, meta)


def _look(
    files: Mapping[str, Sequence[TableFile]],
    choice: Choice,
    data: Table,
    options: Mapping[str, ColumnOptions],
    last: dict[str, Any],
) -> tuple[dict[str, Look], set[str], int]:
    """Look at every column of every row; also the labels that there are, and the count of rows without a gap.

    The `last` row is filled in.
    """
    looks = {name: Look(name, options[name].format if name in options else None) for name in choice.columns}
    rng, labels, whole_rows, unlabelled = np.random.default_rng(data.seed), set[str](), 0, 0
    for number, chunk in (
        (n, chunk) for n, each in enumerate(files.values()) for chunk in _chunks(LOOKING, each, choice)
    ):
        for name, look in looks.items():
            look.see(chunk[name], data, rng, new=number > 0)
        whole_rows += len(chunk.dropna(subset=choice.columns))
        last.update((str(name), value) for name, value in chunk.iloc[-1].items())
        if choice.label is not None:
            unlabelled += int(chunk[choice.label].isna().sum())
            labels |= set(as_texts(chunk[choice.label].dropna()).unique())
            if len(labels) > CLASSES:
                raise UserError(
                    f"params.yaml: data.label: {choice.label!r} has more than {CLASSES:,} different values: at most"
                    f" {CLASSES:,} are allowed; set data.label to null to model it as a column"
                )
    if unlabelled:
        raise UserError(
            f"params.yaml: data.label: {choice.label!r} is missing in {unlabelled:,} rows; remove them, or set"
            " data.label to null to model it as a column"
        )
    return looks, labels, whole_rows


def _check_gaps(data: Table, kept: Sequence[Decided], looks: Mapping[str, Look], whole_rows: int) -> None:
    """Refuse gaps where the parameters say so, all columns at once."""
    holed = [each for each in kept if looks[each.name].missing]
    gaps = ", ".join(f"{each.name} {looks[each.name].missing:,}" for each in holed)
    if holed and data.missing == "refuse":
        raise UserError(f"params.yaml: data.missing: values are missing ({gaps}); set it to model, drop or mean")
    if data.missing == "drop" and not whole_rows:
        raise UserError(f"params.yaml: data.missing: drop: every row misses a value ({gaps})")
    named = [each.name for each in holed if each.type is not None and each.type["kind"] in NAMED]
    if named and data.missing == "mean":
        raise UserError(f"params.yaml: data.missing: mean is for numbers, and {some(named)} has names: set it to model")


def _typed(look: Look, kind: Mapping[str, Any]) -> bool:
    """Is there more to a column than a real number of which float32 holds enough?"""
    if kind["kind"] != "real" or look.missing or kind["heavy"]:
        return True
    step = np.spacing(np.float32(max(abs(look.low), abs(look.high))))
    return float(np.concatenate(look.sample).std()) < COARSE * float(step)


class _Writer:
    """Reads the rows again, and writes them as numbers."""

    def __init__(
        self,
        choice: Choice,
        data: Table,
        types: Mapping[str, Mapping[str, Any]],
        classes: list[str],
        dtype: np.dtype[Any],
    ) -> None:
        self.choice, self.data, self.types, self.dtype = choice, data, types, dtype
        self.number = {label: index for index, label in enumerate(classes)}
        self.dropped = 0

    def write(self, split: str, files: Sequence[TableFile], spool: Path) -> Part:
        """The rows of a split, and their labels."""
        labelled = self.choice.label is not None
        x = RowsWriter(spool / f"{split}.npy", (len(self.types),), self.dtype)
        labels = RowsWriter(spool / f"{split}_labels.npy", (), np.int64)
        with ExitStack() as stack:
            for writer in (x, labels) if labelled else (x,):
                stack.enter_context(writer)
            for chunk in _chunks(f"writing {split} rows of", files, self.choice):
                kept = chunk.dropna(subset=list(self.types)) if self.data.missing == "drop" else chunk
                self.dropped += len(chunk) - len(kept)
                x.append(np.stack([self._numbers(kept[name], kind) for name, kind in self.types.items()], 1))
                if labelled:
                    labels.append(as_texts(kept[self.choice.label]).map(self.number).to_numpy(np.int64))
        return Part(Rows(x.path), Rows(labels.path) if labelled else None)

    def _numbers(self, column: pd.Series[Any], kind: Mapping[str, Any]) -> np.ndarray:
        written = column.dtype == object or isinstance(column.dtype, pd.StringDtype)
        if written and kind["kind"] in ("real", "integer"):
            column = as_numbers(column, self.data)
        return encode(column, kind)


def _chunks(what: str, files: Sequence[TableFile], choice: Choice) -> Iterator[pd.DataFrame]:
    """The chosen columns as they are written, some rows at a time."""
    wanted = [*choice.columns, *([choice.label] if choice.label is not None else [])]
    megabytes = [file.path.stat().st_size >> 20 for file in files]
    rows = 0
    with progress(f"prepare: {what} the table", 0, max(1, sum(megabytes)), "MiB") as advance:
        for number, file in enumerate(files):
            for chunk, share in file.frames(wanted, "all"):
                yield chunk
                rows += len(chunk)
                advance(int(sum(megabytes[:number]) + share * megabytes[number]), f"{file.path.name}, row {rows:,}")
    if not rows:
        raise UserError(f"{some(file.path for file in files)}: has no rows")


def _reasons(decided: Sequence[Decided]) -> str:
    return "; ".join(f"{each.name}: {each.why}" for each in decided)
