"""What a request gives a model: examples in the dtype of its data, with their labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from .classes import Classes
from .given import numbers
from .limits import Limits
from .parameters import Request
from .refusal import Refusal
from .row_table import Table


class Incoming:
    """Reads examples of an event, whose numbers may be called by `columns`, or be rows of a `table`."""

    def __init__(self, event: Any, columns: list[str], table: Table | None, classes: Classes) -> None:
        self.event, self.columns, self.table, self.classes = event, columns, table, classes
        self.limits = Limits()

    @property
    def bytes(self) -> int:
        """Of one example."""
        return int(self.event.dimensions * (4 if self.event.levels is None else 1))

    def examples(self, data: Any, request: Request, reads_label: bool = False) -> tuple[Tensor, Tensor | None]:
        """Examples (N, *event) in the dtype of the data, and their labels."""
        if self.table is not None:
            frame, labels = self._rows(data, request, reads_label)
            return self.in_units(self.table.encode(frame)), labels
        values = self._shaped(numbers(data, self.columns))
        self.limits.check(len(values), self.bytes, "data")
        if not np.isfinite(values).all():
            raise Refusal("data: NaN and infinite values are not allowed")
        return self.in_units(values), self.classes.chosen(request, len(values))

    def with_holes(self, data: Any, request: Request) -> tuple[np.ndarray, Tensor | None]:
        """Examples (N, *event) with NaN for what is missing, and their labels."""
        if self.table is not None:
            frame, labels = self._rows(data, request)
            return self.table.encode(frame, gaps=True), labels
        values = self._shaped(numbers(data, self.columns, missing=True))
        if np.isinf(values).any():
            raise Refusal("data: infinite values are not allowed; NaN stands for what is missing")
        return values, self.classes.chosen(request, len(values))

    def _rows(self, data: Any, request: Request, reads_label: bool = True) -> tuple[pd.DataFrame, Tensor | None]:
        """Rows of the table without their labels, and these: in a column of their own, or as parameters."""
        assert self.table is not None
        if isinstance(data, list) and data and isinstance(data[0], Mapping):
            data = pd.DataFrame(data)
        if not isinstance(data, pd.DataFrame) or len(data) == 0:
            raise Refusal(f"data: must be a DataFrame with the columns {', '.join(self.table.types)}")
        self.limits.check(len(data), self.bytes, "data")
        frame, names = self.table.without_label(data) if reads_label else (data, ())
        given = self.classes.chosen(request, len(frame))
        if names and given is not None:
            raise Refusal(f"labels: the column {self.table.label} has them, too: leave one of them out")
        return frame, torch.tensor(self.classes.places(names)) if names else given

    def _shaped(self, values: np.ndarray) -> np.ndarray:
        """Numbers (N, *event) from (N, *event) or (N, D)."""
        shape, flat = self.event.shape, (self.event.dimensions,)
        if len(values) == 0 or values.shape[1:] not in (shape, flat):
            allowed = " or ".join(dict.fromkeys(str(("N", *kind)).replace("'", "") for kind in (shape, flat)))
            raise Refusal(f"data: shape {values.shape} is not allowed: examples have the shape {allowed}, N > 0")
        return values.reshape(-1, *shape)

    def in_units(self, values: np.ndarray) -> Tensor:
        """Numbers in the dtype of the data; those of integer events must be levels."""
        if self.event.levels is None:
            return torch.from_numpy(values.astype(np.float32))
        top = self.event.levels - 1
        if (values != np.round(values)).any() or values.min() < 0 or values.max() > top:
            raise Refusal(
                f"data: values from {values.min()} to {values.max()} are not allowed: must be integers 0 … {top}"
            )
        return torch.from_numpy(values.astype(np.uint8))
