"""Tables as the library anonymeter can take them.

It knows no distance to a gap among numbers, finds no text with quotes, compares dates as text, and takes any
negative guess of a number for a good one. So categories become names without quotes, where a gap is a category; dates
become days; columns with negative numbers begin at zero; and the gaps of numbers are filled with the median of the
training rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .column_kinds import Columns, Kind, encoded


def attack_tables(
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    synthetic: pd.DataFrame,
    columns: Columns,
    names: Mapping[str, str],
    rows: int,
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The different rows of each table, with other names of columns: of training and holdout as many, at most `rows`.

    A control of another size would have its successes scaled by a curve that is fitted to them.
    """
    tables = [table.rename(columns=names).drop_duplicates() for table in _plain(train, holdout, synthetic, columns)]
    count = min(len(tables[0]), len(tables[1]), rows)
    sizes = count, count, min(len(tables[2]), rows)
    first, second, third = (
        table.sample(size, random_state=seed).reset_index(drop=True) for table, size in zip(tables, sizes, strict=True)
    )
    return first, second, third


def _plain(train: pd.DataFrame, holdout: pd.DataFrame, synthetic: pd.DataFrame, columns: Columns) -> list[pd.DataFrame]:
    tables = encoded(columns, train, holdout, synthetic)
    plain: list[dict[str, NDArray[Any]]] = [{} for _ in tables]
    for name, kind in columns.items():
        if kind == "category":
            values = [np.char.add("v", table.codes[name].astype(str)).astype(object) for table in tables]
        else:
            values = _filled([table.numbers[name] for table in tables], kind)
        for into, of_table in zip(plain, values, strict=True):
            into[name] = of_table
    return [pd.DataFrame(table) for table in plain]


def _filled(values: list[NDArray[np.float64]], kind: Kind) -> list[NDArray[Any]]:
    """The values of a column of each table, without gaps, and none below zero."""
    known = values[0][~np.isnan(values[0])]
    filled = [np.where(np.isnan(each), np.median(known) if len(known) else 0.0, each) for each in values]
    least = np.concatenate(filled).min(initial=np.inf if kind == "date" else 0.0)
    return [each - least for each in filled]
