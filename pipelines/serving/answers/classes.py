"""The classes that a request names, as the numbers that a model knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .parameters import Request
from .refusal import Refusal


@dataclass(frozen=True)
class Classes:
    """The names of a conditional model's classes; none of an unconditional one."""

    names: tuple[str, ...]

    @classmethod
    def of(cls, count: int, names: Sequence[str] | None) -> Classes:
        """`count` classes, whose names are their positions if the data had none."""
        return cls(tuple(map(str, names)) if count and names else tuple(map(str, range(count))))

    def chosen(self, request: Request, rows: int) -> Tensor | None:
        """The labels (rows,) of a request, or None if it has none; a single one stands for every row."""
        if request.labels and request.positions:
            raise Refusal("labels: positions are given, too: leave one of them out")
        if not request.labels and not request.positions:
            return None
        if not self.names:
            what = "labels" if request.labels else "positions"
            raise Refusal(f"{what}: this model is unconditional: leave them out")
        places = self.places(request.labels) if request.labels else self._checked(request.positions)
        if len(places) not in (1, rows):
            raise Refusal(f"labels: {len(places)} labels for {rows} rows: give one for each row, or a single one")
        return torch.tensor(places).expand(rows)

    def need(self, labels: Tensor | None, task: str) -> None:
        """Refuse a task of a conditional model that knows no class."""
        if self.names and labels is None:
            raise Refusal(
                f"labels: are missing: {task} needs the class of each example, or one for all, of {self._shown}"
            )

    @property
    def _shown(self) -> str:
        return ", ".join(self.names[:20]) + (", …" if len(self.names) > 20 else "")

    def places(self, labels: Sequence[str]) -> list[int]:
        """The position of each label: that of the class so called, or else the one that it is itself.

        Raises `Refusal` for all that are neither.
        """
        known = {name: place for place, name in enumerate(self.names)}
        known |= {str(place): place for place in range(len(self.names)) if str(place) not in known}
        wrong = [label for label in dict.fromkeys(labels) if label not in known]
        if wrong:
            raise Refusal(f"labels: {', '.join(wrong[:5])} is not allowed: must be of the classes {self._shown}")
        return [known[label] for label in labels]

    def _checked(self, positions: Sequence[int]) -> Sequence[int]:
        wrong = [place for place in dict.fromkeys(positions) if not 0 <= place < len(self.names)]
        if wrong:
            raise Refusal(f"positions: {wrong[:5]} is not allowed: must be integers 0 … {len(self.names) - 1}")
        return positions

    def named(self, labels: Tensor | None) -> list[str] | None:
        """The names of labels (N,)."""
        return None if labels is None else [self.names[place] for place in labels.tolist()]
