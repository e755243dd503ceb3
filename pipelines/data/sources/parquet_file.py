"""Parquet, as pandas, Spark, Polars and warehouses write it: every column in one type of pandas, in all chunks."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import types

from ...errors import UserError
from ...params.table_sections import Table
from .finding import quoted
from .foreign import refuse
from .refusing import refusing

INDEX = "__index_level_"
INDEX_LEFT_OUT = "{name}, the index without a name that pandas wrote, was left out: it is no column of the table."
COUNT_LEFT_OUT = "{name}, an index of pandas that counts the rows, was left out: it is no column of the file."
DIGITS = "Column {name}: decimals with more digits than a float64 keeps, which were rounded: {count}."
ZONE = "Column {name}: times of the zone {zone} were read as UTC."
ORDERED = (
    "Column {name} has an order in the file, of which no use is made: if it means one, write columns:"
    " {{name}: {type: ordered, order: [{order}]}}."
)
SECONDS = "Column {name}: {what} were read as seconds."

Nullable = {
    pa.int8(): pd.Int8Dtype(), pa.int16(): pd.Int16Dtype(), pa.int32(): pd.Int32Dtype(), pa.int64(): pd.Int64Dtype(),
    pa.uint8(): pd.UInt8Dtype(), pa.uint16(): pd.UInt16Dtype(), pa.uint32(): pd.UInt32Dtype(),
    pa.uint64(): pd.UInt64Dtype(), pa.bool_(): pd.BooleanDtype(), pa.string(): pd.StringDtype(na_value=float("nan")),
}  # fmt: skip


@dataclass
class ParquetFile:
    """A Parquet file."""

    path: Path
    data: Table
    said: Counter[str] = field(default_factory=Counter)
    written = False

    @cached_property
    def _file(self) -> pq.ParquetFile:
        if not self.path.stat().st_size:
            raise UserError(f"{self.path}: is empty")
        refuse(self.path, "parquet")
        with refusing(self.path):
            return pq.ParquetFile(self.path)

    @cached_property
    def header(self) -> list[str]:
        """The names of all columns, but for an index of pandas that has none."""
        return [name for name in self._file.schema_arrow.names if name not in self._unnamed_indices]

    @cached_property
    def _unnamed_indices(self) -> list[str]:
        """Pandas writes the index of a frame that was filtered or shuffled, or of dates, as a column."""
        return [name for name in self._indices if isinstance(name, str) and name.startswith(INDEX)]

    @cached_property
    def _indices(self) -> list[Any]:
        """What pandas wrote about the index: the names of columns, or how it counts the rows."""
        metadata = self._file.schema_arrow.metadata or {}
        said: list[Any] = []
        with suppress(ValueError):
            said = json.loads(metadata.get(b"pandas", b"{}")).get("index_columns", [])
        return said

    def frames(self, wanted: list[str], texts: Sequence[str], rows: int) -> Iterator[tuple[pd.DataFrame, float]]:
        """The rows; `texts` are ignored, since every column has a type already."""
        file, done = self._file, 0
        self.said.clear()
        self.said.update(INDEX_LEFT_OUT.replace("{name}", name) for name in self._unnamed_indices)
        counts = [index["name"] for index in self._indices if isinstance(index, dict) and index.get("name")]
        self.said.update(COUNT_LEFT_OUT.replace("{name}", name) for name in counts)
        self._check_types(wanted)
        with refusing(self.path):
            for batch in file.iter_batches(rows, columns=wanted):
                arrays = dict(zip(batch.schema.names, batch.columns, strict=True))
                plain = pa.RecordBatch.from_arrays([self._plain(arrays[name], name) for name in wanted], names=wanted)
                frame = plain.to_pandas(types_mapper=Nullable.get)
                done += len(frame)
                yield without_gaps(frame, self.data), done / file.metadata.num_rows

    def _check_types(self, wanted: Sequence[str]) -> None:
        """A UserError names all columns whose cells are no single values."""
        schema = self._file.schema_arrow
        kinds_of = dict(zip(schema.names, schema.types, strict=True))
        odd = [name for name in wanted if not _is_single(_plain(kinds_of[name]))]
        if odd:
            kinds = ", ".join(f"{name} ({kinds_of[name]})" for name in odd)
            raise UserError(
                f"{self.path}: holds lists, structs or bytes, not single values, in {kinds}: leave them out: write"
                f" under data in params.yaml: exclude: [{', '.join(map(quoted, odd))}]"
            )

    def _plain(self, values: pa.Array, name: str) -> pa.Array:
        """Values of a type that pandas has, too."""
        if isinstance(values, pa.ExtensionArray):
            values = values.storage
        if types.is_dictionary(values.type):
            if values.type.ordered:
                order = ", ".join(map(str, values.dictionary.to_pylist()))
                self.said[ORDERED.replace("{name}", name).replace("{order}", order)] = 1
            values = values.dictionary_decode()
        for applies, convert in CONVERSIONS if values.type not in Nullable else ():
            if applies(values.type):
                return convert(self, values, name)
        return values

    def decimals(self, values: pa.Array, name: str) -> pa.Array:
        """Decimals as floats; those that lose digits are counted."""
        floats = values.cast(pa.float64())
        many = values.type.precision > sys.float_info.dig
        rounded = sum(
            value is not None and Decimal(repr(float(value))) != value for value in (values.to_pylist() if many else [])
        )
        if rounded:
            self.said[DIGITS.replace("{name}", name)] += rounded
        return floats

    def times(self, values: pa.Array, name: str) -> pa.Array:
        """Points in time without their zone."""
        if values.type.tz is None:
            return values
        if values.type.tz not in ("UTC", "+00:00", "Etc/UTC", "Z"):
            self.said[ZONE.replace("{name}", name).replace("{zone}", values.type.tz)] += 1
        return values.cast(pa.timestamp(values.type.unit))

    def seconds(self, values: pa.Array, name: str) -> pa.Array:
        """A time of the day, or a duration, as seconds."""
        what = "durations" if types.is_duration(values.type) else "times of the day"
        self.said[SECONDS.replace("{name}", name).replace("{what}", what)] += 1
        per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[values.type.unit]
        whole = pa.int32() if types.is_time32(values.type) else pa.int64()
        return pc.divide(values.cast(whole).cast(pa.float64()), float(per_second))


CONVERSIONS: list[tuple[Callable[[Any], bool], Callable[[ParquetFile, Any, str], Any]]] = [
    (types.is_decimal, ParquetFile.decimals),
    (types.is_timestamp, ParquetFile.times),
    (types.is_date, lambda file, values, name: values.cast(pa.timestamp("s" if values.type == pa.date32() else "ms"))),
    (lambda kind: types.is_time(kind) or types.is_duration(kind), ParquetFile.seconds),
    (lambda kind: types.is_large_string(kind) or types.is_string_view(kind),
     lambda file, values, name: values.cast(pa.string())),
    (types.is_float16, lambda file, values, name: values.cast(pa.float32())),
    (types.is_null, lambda file, values, name: values.cast(pa.float64())),
]  # fmt: skip


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type of the values, without the ways in which they are stored."""
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    return kind.value_type if types.is_dictionary(kind) else kind


def _is_single(kind: pa.DataType) -> bool:
    return kind in Nullable or types.is_floating(kind) or any(applies(kind) for applies, _ in CONVERSIONS)


def without_gaps(frame: pd.DataFrame, data: Table) -> pd.DataFrame:
    """The cells, but for those that hold a text, or the number that it is, that means a missing value."""
    if not data.missing_values:
        return frame
    said: list[Any] = list(data.missing_values)
    for text in data.missing_values:
        with suppress(ValueError):
            said.append(float(text))
    return frame.mask(frame.isin(said))
