"""A table of which all is known: kinds of columns, gaps, and two rules that its rows keep."""

from __future__ import annotations

import numpy as np
import pandas as pd

KINDS = {
    "age": "number",
    "balance": "number",
    "school": "category",
    "years": "number",
    "member": "category",
    "size": "category",
    "ordered": "date",
    "sent": "date",
}
YEARS = {"none": 0, "primary": 4, "secondary": 10, "university": 16}


def customers(rows: int, seed: int) -> pd.DataFrame:
    """Rows of independent people: balance rises with age, members are old, an order is placed before it is sent."""
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 90, rows)
    school = rng.choice(list(YEARS), rows, p=[0.1, 0.2, 0.4, 0.3])
    ordered = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 365 * 86400, rows), unit="s")
    frame = pd.DataFrame({
        "age": age,
        "balance": 100.0 * age + rng.normal(0, 1000, rows),
        "school": school,
        "years": [YEARS[each] for each in school],
        "member": rng.random(rows) < age / 100,
        "size": pd.Categorical(rng.choice(["S", "M", "L"], rows), ["S", "M", "L"], ordered=True),
        "ordered": ordered,
        "sent": ordered + pd.to_timedelta(rng.integers(0, 90 * 86400, rows), unit="s"),
    })  # fmt: skip
    frame.loc[rng.random(rows) < 0.1, "balance"] = np.nan
    frame.loc[rng.random(rows) < 0.1, "size"] = None
    frame.loc[rng.random(rows) < 0.1, "sent"] = pd.NaT
    return frame


def shuffled(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The same columns, each in an order of its own."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame({name: frame[name].array[rng.permutation(len(frame))] for name in frame.columns})
