"""CSV and Parquet tables: chosen columns as vectors of real numbers, or as pixels, read a chunk of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_numeric_dtype, is_string_dtype

from ...errors import UserError
from ...params.table_sections import Table
from ...progress import progress
from ..rows import Rows, RowsWriter
from ..tables.looking import CODE
from . import Part, Source
from .choosing import Choice, choose
from .finding import CLASSES, checksum, existing, in_order, quoted, some
from .frames import TableFile, sentences, table_files
from .pixel_columns import as_pixels, channels_of, pixel_hint, pixels

WHOLE = r"^(-?\d+)\.0*$"


def read(data: Table, root: Path, spool: Path) -> Source:
    """Rows (N, D) of float32; NaN stands where a missing value will be filled in once the splits are known."""
    files = {"train": table_files(root / data.path, data)}
    if data.test_path is not None:
        files["test"] = table_files(existing(root / data.test_path, "data.test_path"), data)
    choice, said = choose(files["train"][0].header, data), list[str]()
    if data.shape is not None:
        choice, said = pixels(choice, data)
    table = _Columns(choice, data)
    for some_files in files.values():
        table.look(some_files)
    parts = {split: table.write(split, some_files, spool) for split, some_files in files.items()}
    every = [file for some_files in files.values() for file in some_files]
    said += [*table.sentences(), *sentences(every), *_codes(files["train"][0], choice)]
    sums = checksum([file.path for file in every], root)
    if data.shape is not None:
        parts, levels, more = as_pixels(files["train"][0].path, parts, data, spool)
        return Source(parts, levels, channels_of(data.shape), table.class_names, [], [*said, *more], sums)
    said += pixel_hint(table.names, all(low >= 0 and table.high[name] <= 255 for name, low in table.low.items()))
    return Source(parts, None, "columns", table.class_names, table.names, said, sums, {"fill": data.missing == "mean"})


def _codes(file: TableFile, choice: Choice) -> list[str]:
    """What is said of columns that begin with values that look like codes, and were read as numbers."""
    names = [name for name in choice.columns if name not in choice.categorical]
    first = next((frame for frame, _ in file.frames(names, "all")), pd.DataFrame()) if file.written else pd.DataFrame()
    written = [name for name in first if is_string_dtype(first[name]) and first[name].str.fullmatch(CODE).any()]
    if not written:
        return []
    return [
        f"Values of {some(written)} begin with zeros, as codes do, and were read as numbers: if they are codes, write"
        " them under data.categorical, or remove types: false."
    ]


@dataclass
class _Columns:
    """The chosen columns: first looked at, then written."""

    choice: Choice
    data: Table
    rows: int = 0
    dropped: int = 0
    missing: dict[str, int] = field(default_factory=dict)
    categories: dict[str, set[str]] = field(default_factory=dict)
    labels: set[str] = field(default_factory=set)
    low: dict[str, float] = field(default_factory=dict)
    high: dict[str, float] = field(default_factory=dict)

    def look(self, files: Sequence[TableFile]) -> None:
        """Read once: find categories, labels and ranges, and refuse what is not declared."""
        for path, first_row, chunk in self._chunks("checking", files):
            self.rows += len(chunk)
            whole = np.ones(len(chunk), bool)
            for name in self.choice.columns:
                whole &= self._look_at(chunk[name], f"{path}: column {name!r}", first_row, name)
            if self.data.label is not None:
                label = chunk[self.data.label]
                if label.isna().any():
                    where = f"{path}: column {self.data.label!r}, row {first_row + int(label.isna().argmax())}"
                    raise UserError(f"{where}: a label is missing; remove the row, or set data.label to null")
                self.labels |= set(_texts(label).unique())
                if len(self.labels) > CLASSES:
                    in_order(self.labels)
            if self.data.missing == "drop":
                self.dropped += int((~whole).sum())
        if self.dropped == self.rows:
            raise UserError(f"params.yaml: data.missing: drop: every row misses a value, in {some(self.missing)}")
        if self.data.shape is None:
            self._check_constant(files[0].path)

    def _check_constant(self, path: Path) -> None:
        """A UserError names all columns that never vary."""
        names = [name for name in self.choice.columns if name not in self.choice.categorical]
        constant = [name for name in names if self.low[name] == self.high[name]]
        if not constant:
            return
        hint = "".join(f"; {each}" for each in pixel_hint(self.choice.columns, whole=True))
        if len(constant) == 1:
            (name,) = constant
            raise UserError(
                f"{path}: column {name!r} is constant, {self.low[name]:g} in all rows: it has no density; leave it out"
                f" with data.exclude: [{name}]{hint}"
            )
        raise UserError(
            f"{path}: {len(constant):,} columns are constant in all rows and have no density; leave them out with"
            f" data.exclude: [{', '.join(map(quoted, constant))}]{hint}"
        )

    def _look_at(self, column: pd.Series[Any], where: str, first_row: int, name: str) -> np.ndarray:
        """Note what a column holds, and give the rows in which its value is there."""
        there = column.notna().to_numpy()
        if name in self.choice.categorical:
            self.categories.setdefault(name, set()).update(_texts(column[there]).unique())
        else:
            if not (is_numeric_dtype(column) or is_bool_dtype(column)):
                texts = there & pd.to_numeric(column.astype(object), errors="coerce").isna().to_numpy()
                at = int((texts if texts.any() else there).argmax())
                value = str(column.iloc[at]) if there.any() else "nothing"
                raise UserError(
                    f"{where}, row {first_row + at}: holds text, {value!r}: declare it in data.categorical, leave it"
                    f" out with data.exclude: [{name}], or name the text in data.missing_values"
                )
            values = column.to_numpy(np.float64, na_value=np.nan)
            infinite = np.abs(values) > np.finfo(np.float32).max
            if infinite.any():
                row = first_row + int(infinite.argmax())
                raise UserError(f"{where}, row {row}: infinite, or too large for a float32; mend the file")
            if there.any():
                self.low[name] = min(self.low.get(name, np.inf), float(values[there].min()))
                self.high[name] = max(self.high.get(name, -np.inf), float(values[there].max()))
            elif name not in self.low:
                self.low[name], self.high[name] = np.inf, -np.inf
        if not there.all():
            if self.data.missing in ("model", "refuse") or (
                self.data.missing == "mean" and name in self.choice.categorical
            ):
                row = first_row + int((~there).argmax())
                names = name in self.choice.categorical or self.data.shape is not None
                what = "drop" if names else "drop or mean"
                raise UserError(f"{where}, row {row}: a value is missing (NaN); set data.missing to {what}")
            self.missing[name] = self.missing.get(name, 0) + int((~there).sum())
        return there

    def write(self, split: str, files: Sequence[TableFile], spool: Path) -> Part:
        """Read again, and write the vectors and the labels."""
        rng = np.random.default_rng([self.data.seed, split == "test"])
        number = {label: index for index, label in enumerate(self.class_names)}
        x = RowsWriter(spool / f"{split}.npy", (len(self.names),), np.float32)
        labels = RowsWriter(spool / f"{split}_labels.npy", (), np.int64)
        with x, labels:
            for _, _, chunk in self._chunks(f"writing {split} rows", files):
                kept = chunk.dropna(subset=self.choice.columns) if self.data.missing == "drop" else chunk
                x.append(np.concatenate([self._numbers(kept[name], name, rng) for name in self.choice.columns], 1))
                if self.data.label is not None:
                    labels.append(_texts(kept[self.data.label]).map(number).to_numpy(np.int64))
        return Part(Rows(x.path), Rows(labels.path) if self.data.label is not None else None)

    def _numbers(self, column: pd.Series[Any], name: str, rng: np.random.Generator) -> np.ndarray:
        """A column as numbers (n, 1), or (n, categories), with the noise that was asked for."""
        if name in self.choice.categorical:
            codes = pd.Categorical(_texts(column), self._categories(name)).codes
            one_hot = self.choice.categorical[name] == "one_hot"
            values = (np.eye(len(self.categories[name]))[codes] if one_hot else codes[:, None]).astype(np.float64)
        else:
            values = column.to_numpy(np.float64, na_value=np.nan)[:, None]
        width = self.choice.dequantise.get(name)
        return values if width is None else values + width * rng.random(values.shape)

    def _categories(self, name: str) -> list[str]:
        return in_order(self.categories[name])

    @property
    def names(self) -> list[str]:
        """The names of the numbers of a vector."""
        named = []
        for name in self.choice.columns:
            one_hot = self.choice.categorical.get(name) == "one_hot"
            named += [f"{name}={category}" for category in self._categories(name)] if one_hot else [name]
        return named

    @property
    def class_names(self) -> list[str]:
        return in_order(self.labels)

    def sentences(self) -> list[str]:
        """What was decided about the table."""
        shown = some(self.choice.columns) if self.data.shape is not None else ", ".join(self.choice.columns)
        said = [f"{len(self.choice.columns)} columns of {self.rows:,} rows were read: {shown}."]
        for name, how in self.choice.categorical.items():
            known = self._categories(name)
            said.append(f"Column {name} has {len(known)} categories, as {how.replace('_', '-')}: {some(known)}.")
        gaps = ", ".join(f"{name} {count:,}" for name, count in self.missing.items())
        if gaps and self.data.missing == "drop":
            said.append(f"{self.dropped:,} rows with missing values were dropped ({gaps}).")
        elif gaps:
            said.append(f"Missing values were filled with the mean of the training rows ({gaps}).")
        said += [
            f"Noise uniform on [0, {width:g}) was added to {name}." for name, width in self.data.dequantise.items()
        ]
        return said

    def _chunks(self, what: str, files: Sequence[TableFile]) -> Iterator[tuple[Path, int, pd.DataFrame]]:
        """The chosen columns, some rows at a time: the file, the number of the first row, the rows."""
        texts = [*self.choice.categorical, *([self.data.label] if self.data.label is not None else [])]
        wanted = [*self.choice.columns, *([self.data.label] if self.data.label is not None else [])]
        megabytes = [file.path.stat().st_size >> 20 for file in files]
        rows = 0
        with progress(f"prepare: {what}", 0, max(1, sum(megabytes)), "MiB") as advance:
            for number, file in enumerate(files):
                row = 1
                for chunk, share in file.frames(wanted, texts):
                    yield file.path, row, chunk
                    row += len(chunk)
                    rows += len(chunk)
                    done = sum(megabytes[:number]) + share * megabytes[number]
                    advance(int(done), f"{file.path.name}, row {row - 1:,}")
        if not rows:
            raise UserError(f"{some(file.path for file in files)}: has no rows")


def _texts(column: pd.Series[Any]) -> pd.Series[Any]:
    """Labels and categories as texts; whole numbers without a decimal point, however a column is stored."""
    return column.astype(str).str.replace(WHOLE, r"\1", regex=True)
