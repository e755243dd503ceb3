"""Records of arrays on disk: a dataclass whose fields are arrays is a .npz file, without pickles."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Self
from zipfile import ZipFile, ZipInfo

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
        """Write a .npz file, whole or not at all.

        The same arrays are the same bytes everywhere. What `np.savez_compressed` writes is not: versions of Python
        differ in the headers of archives, and machines in the library that compresses.
        """
        with replacing(path) as temporary, ZipFile(temporary, "w") as archive:
            for name, array in vars(self).items():
                content = io.BytesIO()
                np.lib.format.write_array(content, np.asanyarray(array), allow_pickle=False)
                archive.writestr(ZipInfo(f"{name}.npy"), content.getvalue())
