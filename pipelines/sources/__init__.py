"""Where data comes from: a function per source, each giving the same plain arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Source:
    """All examples of a data set in their own units: x (N, *event), labels (N,) or None, and what they mean."""

    x: np.ndarray
    labels: np.ndarray | None
    levels: int | None
    class_names: list[str]
