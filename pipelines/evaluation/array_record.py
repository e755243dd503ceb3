"""Records of arrays on disk: a dataclass whose fields are arrays is a .npz file, without pickles."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np

from ..files import replacing


class ArrayRecord:
    """What dataclasses whose fields are arrays inherit."""

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(**arrays)

    def save(self, path: Path) -> None:
        """Write a .npz file, whole or not at all."""
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **vars(self))
