"""Scikit-learn's copy of the UCI handwritten digits: 1,797 grey images of 8×8, embedded in the package.

Each pixel counts the inked ones of a 4×4 block of a scan, hence 17 grey levels, 0 … 16.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from ...params.data_section import Digits
from . import Part, Source
from .finding import put


def read(data: Digits, root: Path, spool: Path) -> Source:
    """Images (1797, 1, 8, 8) of integers 0 … 16, and which digit each shows."""
    digits = load_digits()
    x = put(spool, "x", digits.images.astype(np.uint8)[:, None])
    labels = put(spool, "labels", digits.target.astype(np.int64))
    return Source({"train": Part(x, labels)}, 17, "grey", [str(digit) for digit in range(10)])
