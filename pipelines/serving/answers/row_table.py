"""The table that a model was trained on: its rows as numbers and back, and conditions on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ...data.tables import row_conditions, typed_rows
from .classes import Classes
from .given import in_order
from .refusal import Refusal


@dataclass(frozen=True)
class Table:
    """The typed columns in the order of training, and the column that the labels are of, if a model is conditional."""

    types: Mapping[str, Mapping[str, Any]]
    label: str | None
    classes: Classes

    def encode(self, frame: pd.DataFrame, gaps: bool = False) -> np.ndarray:
        """Rows (N, D) as numbers; `gaps` may be anywhere, or by type."""
        kinds = [{**kind, "gaps": kind["gaps"] or gaps} for kind in self.types.values()]
        try:
            return typed_rows.encode_rows(in_order(frame, list(self.types)), list(self.types), kinds)
        except Refusal:
            raise
        except ValueError as error:
            raise Refusal(f"data: {error}") from None

    def decode(self, x: np.ndarray, labels: list[str] | None, rng: np.random.Generator) -> pd.DataFrame:
        """The rows that numbers (N, D) stand for, with their labels; pooled names are drawn."""
        frame = typed_rows.decode_rows(x, list(self.types), list(self.types.values()), rng)
        if self.label is not None and labels is not None:
            frame[self.label] = np.array(labels, dtype=object)
        return frame

    def without_label(self, frame: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
        """The rows without their labels, and these: () if there is no such column."""
        if self.label is None or self.label not in frame.columns:
            return frame, ()
        labels = frame[self.label]
        if labels.isna().any():
            raise Refusal(f"data: {self.label}: {int(labels.isna().sum())} labels are missing: leave the column out")
        return frame.drop(columns=[self.label]), tuple(typed_rows.as_texts(labels))

    def conditions(self, texts: Sequence[str]) -> list[row_conditions.Condition]:
        """Conditions on columns and on the label."""
        kinds = dict(self.types)
        if self.label is not None:
            names = list(self.classes.names)
            kinds[self.label] = {"kind": "category", "dtype": "str", "values": names, "gaps": False}
        try:
            return row_conditions.parse(list(texts), kinds)
        except ValueError as error:
            raise Refusal(str(error)) from None

    def known(self, conditions: Sequence[row_conditions.Condition]) -> tuple[np.ndarray, np.ndarray]:
        """A row (D,) of what conditions say that columns are equal to, and where they do (D,).

        A value that no row can have, such as 3.5 of an integer, is left to `holds`, which no row will fulfil.
        """
        x, known = np.zeros(len(self.types), np.float32), np.zeros(len(self.types), bool)
        for d, (name, kind) in enumerate(self.types.items()):
            for condition in conditions:
                if condition.column == name and condition.equal:
                    value = typed_rows.encode(pd.Series([condition.value]), kind)[0]
                    if not np.isnan(value):
                        x[d], known[d] = value, True
        return x, known


def hold(conditions: Sequence[row_conditions.Condition], frame: pd.DataFrame) -> np.ndarray:
    """Which rows (N,) fulfil all conditions."""
    return np.all([condition.holds(frame) for condition in conditions], axis=0)
