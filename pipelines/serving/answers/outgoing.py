"""What a request gets back: rows as a table, other examples as an array or as files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from .classes import Classes
from .media import png, wav
from .parameters import Request
from .refusal import Refusal
from .row_table import Table

FILES = {"png": (png, "image", "image"), "wav": (wav, "sound", "sequence")}  # how, their column, and of which events


class Outgoing:
    """Shows examples of an event as the format of a request asks for."""

    def __init__(
        self, event: Any, data: Mapping[str, Any], columns: list[str], table: Table | None, classes: Classes
    ) -> None:
        self.event, self.data, self.columns, self.table, self.classes = event, data, columns, table, classes

    def shown(
        self, x: Tensor, labels: Tensor | None, request: Request, rng: np.random.Generator, attrs: dict[str, Any]
    ) -> np.ndarray | pd.DataFrame:
        """Examples (n, *event) and their labels (n,). `attrs` is told the labels that stand in no column."""
        values, names = x.cpu().numpy(), self.classes.named(labels)
        if request.format != "array":
            return self._as_files(values, names, request.format)
        if self.table is not None:
            return self.table.decode(values, names, rng)
        if names is not None:
            attrs.setdefault("labels", []).extend(names)
        named = self.columns and self.event.kind == "vector"
        return pd.DataFrame(values, columns=self.columns) if named else values

    def _as_files(self, values: np.ndarray, names: list[str] | None, form: str) -> pd.DataFrame:
        """A file of each example, as bytes, and its label."""
        return pd.DataFrame({FILES[form][1]: self.files(values, form), **({} if names is None else {"label": names})})

    def files(self, x: np.ndarray, form: str) -> list[bytes]:
        """Images (N, C, H, W) of levels as PNG, or sounds (N, 1, T) of levels as WAV."""
        write, _, kind = FILES[form]
        if self.event.levels is None or self.event.kind != kind:
            raise Refusal(f"format: {form} is not for {self.event.in_words}: leave it out")
        return [write(each, self.event.levels, self.data) for each in x]
