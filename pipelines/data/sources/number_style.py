"""Numbers as people write them: with a decimal comma, with something between the thousands."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype, is_string_dtype

from ...errors import UserError
from ...params.table_sections import Table, WrittenOptions

BLANKS = " \xa0\u202f\u2009"  # which one stands between thousands cannot be seen
LIKE = {" ": BLANKS, "'": "'’"}
TRUE, FALSE = ("True", "TRUE", "true"), ("False", "FALSE", "false")  # as Pandas reads them
SEEN = 1000  # cells that tell how numbers are written

DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")
GROUPS = r"[+-]?[1-9]\d{{0,2}}([{}]\d{{3}})+"
GROUPED = {
    (",", "."): re.compile(GROUPS.format(",") + r"(\.\d*)?"),
    (".", ","): re.compile(GROUPS.format(".") + r"(,\d*)?"),
    ("'", "."): re.compile(GROUPS.format("'’") + r"(\.\d*)?"),
    (" ", ","): re.compile(GROUPS.format(BLANKS) + r",\d*"),
    (" ", "."): re.compile(GROUPS.format(BLANKS) + r"(\.\d*)?"),
}
PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
STYLED = re.compile(rf"\d[,'’{BLANKS}]\d|,\d|\.\d*\.")  # what cannot stand in plain numbers, but in others
WHOLE = re.compile(r"[+-]?\d+")


def as_numbers(texts: pd.Series[Any], data: WrittenOptions) -> pd.Series[Any]:
    """Written texts as numbers, int64 if all are whole; NaN for gaps and for what is no number."""
    if data.decimal == "." and data.thousands is None:
        return pd.to_numeric(texts, errors="coerce")
    between = f"[{LIKE.get(data.thousands or '', re.escape(data.thousands or ''))}]"
    grouped = rf"\d{{1,3}}(?:{between}\d{{3}})+|\d+" if data.thousands else r"\d+"
    point = re.escape(data.decimal)
    number = rf"[+-]?(?:(?:{grouped})(?:{point}\d*)?|{point}\d+)(?:[eE][+-]?\d+)?|[+-]?(?:inf|Infinity)"
    kept = texts.where(texts.str.fullmatch(number, na=False))
    if data.thousands:
        kept = kept.str.replace(between, "", regex=True)
    return pd.to_numeric(kept.str.replace(data.decimal, ".", regex=False), errors="coerce")


def typed(texts: pd.Series[Any], data: WrittenOptions) -> pd.Series[Any]:
    """Written texts as numbers or booleans, if all that are there are such."""
    there = texts.notna()
    numbers = as_numbers(texts, data)
    if numbers.notna().equals(there):
        return numbers
    if texts[there].isin([*TRUE, *FALSE]).all():
        return texts.map({**dict.fromkeys(TRUE, True), **dict.fromkeys(FALSE, False)}).astype("boolean")
    return texts


def without_objects(column: pd.Series[Any]) -> pd.Series[Any]:
    """True and False with gaps, of which Pandas makes objects, as nullable booleans."""
    return column.astype("boolean") if column.dtype == np.dtype(object) and _booleans(column) else column


def _booleans(column: pd.Series[Any]) -> bool:
    return all(isinstance(value, bool) for value in column.dropna().unique())


def hint(texts: pd.Series[Any], data: WrittenOptions) -> str | None:
    """Why texts are no numbers, though they look like some, and the lines to write into params.yaml; else None."""
    if is_numeric_dtype(texts) or not is_string_dtype(texts):
        return None
    written = [text for text in texts.iloc[:SEEN].tolist() if isinstance(text, str)]
    if not STYLED.search("\n".join(written)):
        return None
    style = _style(written, data.separator.strip() != ",")
    if style is None:
        return None
    decimal, thousands = style
    lines = [f"decimal: {decimal!r}"] if decimal != data.decimal else []
    lines += [f"thousands: {thousands!r}"] if thousands is not None and thousands != data.thousands else []
    if not lines:
        return None
    odd = next(text for text in written if not PLAIN.fullmatch(text))
    return f"{odd!r} is a number if you write under data in params.yaml: {', '.join(lines)}"


def check_style(path: Path, frame: pd.DataFrame, data: Table) -> None:
    """A UserError names all columns of numbers that are written in another way than the parameters say."""
    if {"decimal", "thousands"} & data.model_fields_set:
        return
    declared = {*data.categorical, data.label}
    found = {name: hint(frame[name], data) for name in frame.columns if name not in declared}
    odd = {name: why for name, why in found.items() if why is not None}
    if odd:
        columns = f"{'column' if len(odd) == 1 else 'columns'} {', '.join(map(repr, odd))}"
        raise UserError(f"{path}: {columns}: {next(iter(odd.values()))}; or, if they are texts, decimal: '.'")


def _style(texts: Iterable[str], comma_is_free: bool) -> tuple[str, str | None] | None:
    """The decimal and the thousands separator of which all the texts that are not plain numbers make use.

    `1,234` alone is a decimal where commas are free, as in files with semicolons, and else has thousands.
    """
    written = list(texts)
    odd = [text for text in written if not PLAIN.fullmatch(text)]
    plain = [text for text in written if PLAIN.fullmatch(text)]
    decimals = bool(odd) and all(map(DECIMAL_COMMA.fullmatch, odd)) and all(map(WHOLE.fullmatch, plain))
    if decimals and comma_is_free:
        return ",", None
    for (thousands, decimal), pattern in GROUPED.items():
        fits = [bool(pattern.fullmatch(text)) for text in odd]
        others = [text for text, fit in zip(odd, fits, strict=True) if not fit]
        if decimal == ",":
            others += [text for text in plain if not (WHOLE.fullmatch(text) or pattern.fullmatch(text))]
            others = [text for text in others if not DECIMAL_COMMA.fullmatch(text)]
        if any(fits) and not others:
            return decimal, thousands
    return (",", None) if decimals else None
