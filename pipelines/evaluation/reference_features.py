"""The features of real examples, computed once for a data set and not once for each entry that is compared with them.

With Inception's network on a CPU they take minutes. They lie in `.genera/features/`, under a digest of all that decides
them.
"""

from __future__ import annotations

import numpy as np

from models.contract import Features

from ..data.examples import Examples
from ..device import device
from ..files import replacing, text_digest
from ..params.project import Project
from .validation import batches_of, feature_array, spread_rows


def reference_features(
    project: Project, named: tuple[Features, str], some: Examples, digest: str, split: str, at_most: int | None
) -> np.ndarray:
    """Feature vectors (N, F) of evenly spread rows of a split of the data with this digest, in a named module."""
    features, name = named
    key = text_digest(name, digest, split, str(at_most), device().type)
    path = project.kept / "features" / f"{split}-{key[:16]}.npy"
    if path.is_file():
        return np.asarray(np.load(path))
    found = feature_array(features, batches_of(some, spread_rows(some, at_most)))
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, found)
    return found
