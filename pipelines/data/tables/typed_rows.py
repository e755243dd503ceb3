"""Typed columns as numbers, and numbers as typed columns again: the exact inverse, with what the type allows alone.

This file is also carried by registered models, so it needs nothing but NumPy and pandas. A type is an object of
meta.json:

    kind        real, integer, boolean, category, ordered or date
    dtype       what the column comes back as: float64, int64, bool, str or datetime64[ns]
    low, step   of integers and dates (in seconds since 1970): x = low + step · k stands as k = 0, 1, …, levels - 1
    mean, std   of real numbers and of integers that are too many: x stands as (x - mean) / std
    decimals    to which numbers are rounded when they come back; null keeps all
    values      of booleans and categories: x = values[k] stands as k
    pool        of categories whose last value stands for rare ones: [name, count] of each
    format      how dates are written, as strftime has it; null for dates that come as dates
    gaps        may a value be missing? NaN stands for a gap
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

WHOLE = r"^(-?\d+)\.0*$"
NAMED = ("boolean", "category", "ordered")
SECOND = 1_000_000_000  # nanoseconds
SHOWN = 3  # values that a message names

Type = Mapping[str, Any]


def encode_rows(frame: pd.DataFrame, names: Sequence[str], types: Sequence[Type]) -> np.ndarray:
    """Rows (N, D) of numbers. A ValueError names all values that the types do not allow, and all missing columns."""
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise ValueError(f"no column {', '.join(map(repr, missing))}; needed are: {', '.join(names)}")
    made, wrong = [], []
    for name, kind in zip(names, types, strict=True):
        x = encode(frame[name], kind)
        bad = np.isnan(x) & (frame[name].notna().to_numpy() | (not kind["gaps"]))
        if bad.any():
            wrong.append(f"{name}: {_some(frame[name][bad])} is not allowed: must be {allowed(kind)}")
        made.append(x)
    if wrong:
        raise ValueError("; ".join(wrong))
    return np.stack(made, 1)


def encode(column: pd.Series[Any], kind: Type) -> np.ndarray:
    """Values (N,) as numbers; NaN for gaps, and for what the type does not allow."""
    if kind["kind"] in NAMED:
        places = {as_text(value): place for place, value in enumerate(kind["values"])}
        places |= {as_text(name): len(kind["values"]) - 1 for name, _ in kind.get("pool") or ()}
        return as_texts(column).map(places).to_numpy(np.float64, na_value=np.nan)
    numbers = seconds(column, kind.get("format")) if kind["kind"] == "date" else as_float(column)
    if kind.get("levels") is None:
        return (numbers - kind["mean"]) / kind["std"]
    k = np.rint((numbers - kind["low"]) / kind["step"])
    right = (k >= 0) & (k < kind["levels"]) & (np.abs(kind["low"] + k * kind["step"] - numbers) < 1e-6 * kind["step"])
    return np.where(right, k, np.nan)


def decode_rows(
    x: np.ndarray, names: Sequence[str], types: Sequence[Type], seed: int | np.random.Generator = 0
) -> pd.DataFrame:
    """The table that rows (N, D) of numbers stand for; a pooled category becomes one of those that it stands for."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {name: decode(x[:, d], kind, rng) for d, (name, kind) in enumerate(zip(names, types, strict=True))}
    )


def decode(x: np.ndarray, kind: Type, rng: np.random.Generator) -> pd.Series[Any]:
    """The values of numbers (N,)."""
    x = x.astype(np.float64)
    gap = np.isnan(x)
    if kind["kind"] in NAMED:
        return _named(np.where(gap, 0, x).astype(np.int64), gap, kind, rng)
    if kind.get("levels") is None:
        numbers = x * kind["std"] + kind["mean"]
    else:
        numbers = kind["low"] + np.clip(np.rint(x), 0, kind["levels"] - 1) * kind["step"]
    if kind["kind"] == "date":
        return _dates(numbers, gap, kind)
    if kind["decimals"] is not None:
        numbers = np.round(numbers, kind["decimals"])
    if kind["dtype"] != "int64":
        return pd.Series(numbers)
    whole = pd.Series(np.where(gap, 0, numbers).astype(np.int64))
    return whole.astype("Int64").mask(gap) if gap.any() else whole


def allowed(kind: Type) -> str:
    """What a column may hold, in words."""
    if kind["kind"] in NAMED:
        known = [*kind["values"][: -1 if kind.get("pool") else None], *(name for name, _ in kind.get("pool") or ())]
        return f"one of {_some(known)}"
    if kind["kind"] == "date":
        return f"a date{'' if kind['format'] is None else ' like ' + kind['format']}" + _range(kind, _moment)
    return f"a {'whole ' if kind['decimals'] == 0 else ''}number" + _range(kind, lambda number: f"{number:g}")


def _range(kind: Type, shown: Any) -> str:
    if kind.get("levels") is None:
        return ""
    last = kind["low"] + (kind["levels"] - 1) * kind["step"]
    steps = "" if kind["step"] == 1 or kind["kind"] == "date" else f" in steps of {kind['step']:g}"
    return f" from {shown(kind['low'])} to {shown(last)}{steps}"


def _moment(number: float) -> str:
    return str(pd.Timestamp(int(number), unit="s"))


def as_texts(column: pd.Series[Any]) -> pd.Series[Any]:
    """Values as texts, gaps as they are; whole numbers without a decimal point, however a column is stored."""
    texts = column.astype(str).str.replace(WHOLE, r"\1", regex=True)
    return texts.where(column.notna(), np.nan)


def as_text(value: Any) -> str:
    """One value as `as_texts` has it."""
    return str(as_texts(pd.Series([value])).iloc[0])


def as_float(column: pd.Series[Any]) -> np.ndarray:
    """Numbers (N,); NaN for gaps and for what is no number."""
    return pd.to_numeric(column.astype(object), errors="coerce").to_numpy(np.float64, na_value=np.nan)


def seconds(column: pd.Series[Any], form: str | None) -> np.ndarray:
    """Dates as seconds since 1970 (N,); NaN for gaps and for what is no date."""
    dates = pd.to_datetime(column, format=form, errors="coerce")
    if dates.dt.tz is not None:
        dates = dates.dt.tz_convert("UTC").dt.tz_localize(None)
    nanoseconds = dates.astype("datetime64[ns]").astype("int64").to_numpy(np.float64)
    return np.where(dates.isna(), np.nan, nanoseconds / SECOND)


def _dates(numbers: np.ndarray, gap: np.ndarray, kind: Type) -> pd.Series[Any]:
    rounded = np.rint(np.where(gap, 0, numbers) * 1e6).astype(np.int64) * 1000  # to microseconds
    zone = kind["format"] is not None and "%z" in kind["format"]
    dates = pd.Series(pd.to_datetime(rounded, utc=zone)).mask(gap)
    return dates if kind["format"] is None else dates.dt.strftime(kind["format"]).astype(object).mask(gap, None)


def _named(k: np.ndarray, gap: np.ndarray, kind: Type, rng: np.random.Generator) -> pd.Series[Any]:
    values: list[Any] = list(kind["values"])
    known = np.array(values, dtype=object)[k]
    if kind.get("pool"):
        names, counts = zip(*kind["pool"], strict=True)
        share = np.array(counts, np.float64) / sum(counts)
        drawn = np.array(names, dtype=object)[rng.choice(len(names), len(k), p=share)]
        known = np.where(k == len(values) - 1, drawn, known)
    column = pd.Series(known, dtype=object)
    if kind["dtype"] == "bool":
        return column.astype("boolean").mask(gap) if gap.any() else column.astype(bool)
    if kind["dtype"] == "int64":
        return column.astype("Int64").mask(gap) if gap.any() else column.astype(np.int64)
    if kind["dtype"] == "float64":
        return column.astype(np.float64).mask(gap)
    return column.mask(gap, None)


def _some(values: Any) -> str:
    listed = [str(value) for value in dict.fromkeys(values)]
    return ", ".join(listed[:SHOWN]) + (f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else "")
