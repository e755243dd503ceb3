"""Records of arrays are read as they were written, and are the same bytes whichever Python writes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipelines.evaluation.array_record import ArrayRecord
from pipelines.files import file_digest

from ...shell import interpreters, run


@dataclass(frozen=True)
class Pair(ArrayRecord):
    names: NDArray[np.str_]
    values: NDArray[np.float64]


PAIR = Pair(np.array(["a", "b"]), np.arange(6.0).reshape(2, 3))
HEADERS = """
import sys, zipfile
for each in zipfile.ZipFile(sys.argv[1]).infolist():
    print(each.filename, each.create_version, each.extract_version, each.compress_type, each.date_time[0], each.extra)
"""


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    PAIR.save(tmp_path / "pair.npz")
    loaded = Pair.load(tmp_path / "pair.npz")
    assert np.array_equal(loaded.names, PAIR.names) and np.array_equal(loaded.values, PAIR.values)


def test_the_bytes_are_the_same_everywhere(tmp_path: Path) -> None:
    PAIR.save(tmp_path / "pair.npz")
    for python in interpreters():
        done = run(tmp_path, python, "-c", HEADERS, "pair.npz")
        assert done.stdout.splitlines() == [f"{name}.npy 20 20 0 1980 b''" for name in ("names", "values")]
    assert file_digest(tmp_path / "pair.npz") == "f9b97a5cb2da17bf9d91008fc7b2723090e904a95ab6f62cf47082bd91ca4996"


def test_objects_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="allow_pickle"):
        Pair(np.array([{}]), PAIR.values).save(tmp_path / "pair.npz")
    assert not list(tmp_path.iterdir())
