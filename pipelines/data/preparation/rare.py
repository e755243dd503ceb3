"""Classes with too few examples for the splits that are drawn: refused, kept to training, or left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..sources.finding import counted


@dataclass(frozen=True)
class Rare:
    """Which classes (classes,) all go to training, and which are left out."""

    training: np.ndarray
    dropped: np.ndarray

    @property
    def drawn(self) -> np.ndarray:
        """The classes that are shared out among the splits."""
        return ~self.training & ~self.dropped

    def names(self, class_names: Sequence[str]) -> list[str]:
        """The names of the classes that are left."""
        return [name for name, gone in zip(class_names, self.dropped, strict=True) if not gone]

    def numbers(self) -> np.ndarray:
        """The number that each class has among those that are left."""
        return np.cumsum(~self.dropped) - 1

    def sentences(self, counts: np.ndarray, official: np.ndarray, class_names: Sequence[str], unit: str) -> list[str]:
        """What became of rare classes, with their counts, of those that are left out those in official splits too."""
        fates = (
            (self.training, counts, "went to the training split as a whole"),
            (self.dropped, counts + official, "were left out"),
        )
        said = []
        for chosen, numbers, fate in fates:
            if chosen.any():
                each = counted((class_names[place], int(numbers[place])) for place in np.flatnonzero(chosen).tolist())
                total = int(numbers[chosen].sum())
                said.append(f"{int(chosen.sum()):,} rare classes, {total:,} {unit}, {fate}: {each}.")
        return said


def rare_classes(counts: np.ndarray, elsewhere: np.ndarray, drawn: int, how: str) -> Rare:
    """The classes that cannot be shared out among the training split and as many others as are `drawn`.

    `counts` are those of what is shared out, and `elsewhere` (classes,) says which classes official splits hold: those
    of which there is nothing to train on are left out by `drop`, too.
    """
    none = np.zeros(len(counts), bool)
    several = int((counts > 0).sum()) > 1
    rare = (counts > 0) & (counts <= drawn) & several
    if how == "train":
        return Rare(rare, none)
    if how == "drop":
        return Rare(none, rare | ((counts == 0) & elsewhere))
    return Rare(none, none)
