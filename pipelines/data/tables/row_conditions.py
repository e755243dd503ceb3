"""Conditions on rows of a table, as people write them: `age>=65`, `sex=Female`, `job!=Sales`.

This file is also carried by registered models, so it needs nothing but NumPy and pandas.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

OPERATIONS = ("<=", ">=", "!=", "==", "=", "<", ">")
NAMED = ("boolean", "category")  # columns that can be equal or not, and no more


@dataclass(frozen=True)
class Condition:
    """What a column must be."""

    column: str
    operation: str
    value: Any

    @property
    def equal(self) -> bool:
        """Does it say what the value is?"""
        return self.operation == "="

    def holds(self, frame: pd.DataFrame) -> np.ndarray:
        """For which rows (N,); for gaps none holds but `!=`."""
        column = frame[self.column]
        if self.operation in ("=", "!="):
            same = (column == self.value).fillna(False).to_numpy(bool)
            return same if self.operation == "=" else ~same
        compare = {"<=": column.le, ">=": column.ge, "<": column.lt, ">": column.gt}[self.operation]
        return compare(self.value).fillna(False).to_numpy(bool)


def parse(texts: Sequence[str], types: Mapping[str, Mapping[str, Any]]) -> list[Condition]:
    """Conditions by the types of the columns. A ValueError names all that cannot be."""
    conditions, wrong = [], []
    for text in texts:
        try:
            conditions.append(_parse(text, types))
        except ValueError as error:
            wrong.append(f"{text!r}: {error}")
    if wrong:
        raise ValueError(f"where: {'; '.join(wrong)}")
    return conditions


def _parse(text: str, types: Mapping[str, Mapping[str, Any]]) -> Condition:
    found = re.search("|".join(map(re.escape, OPERATIONS)), text)
    if found is None:
        raise ValueError(f"must be a column, one of {' '.join(OPERATIONS)}, and a value")
    name, operation, written = text[: found.start()].strip(), found[0].replace("==", "="), text[found.end() :].strip()
    if name not in types:
        raise ValueError(f"no column {name!r}; there are: {', '.join(types)}")
    kind = types[name]
    if kind["kind"] in NAMED and operation not in ("=", "!="):
        raise ValueError(f"{name} is a {kind['kind']}, which has no order: only = and != are allowed")
    return Condition(name, operation, _value(written, kind))


def _value(written: str, kind: Mapping[str, Any]) -> Any:
    if kind["kind"] == "date":
        date = pd.to_datetime(written, format=kind["format"], errors="coerce")
        if pd.isna(date):
            raise ValueError(f"{written!r} is no date{'' if kind['format'] is None else ' like ' + kind['format']}")
        return written if kind["format"] else date
    if kind["kind"] in (*NAMED, "ordered"):
        known = [*kind["values"], *(name for name, _ in kind.get("pool") or ())]
        same = [value for value in known if str(value).lower() == written.lower()]
        if not same:
            raise ValueError(f"{written!r} is not allowed: must be one of {', '.join(map(str, known[:10]))}")
        return next((value for value in same if str(value) == written), same[0])
    try:
        return float(written)
    except ValueError:
        raise ValueError(f"{written!r} is no number") from None
