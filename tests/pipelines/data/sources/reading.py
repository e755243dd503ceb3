"""Prepare data in a temporary project, without its page and without tracking; and be refused in one line."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from pipelines.data import sources
from pipelines.data.preparation.writing import write
from pipelines.data.prepared import SPLITS, Prepared
from pipelines.errors import UserError
from pipelines.params.data_section import Data
from pipelines.params.source_section import Source as Settings

SHARED = Path(__file__).parents[4].parent / "shared" / "data"
ADAPTER: TypeAdapter[Any] = TypeAdapter(Data)


def settings(**data: Any) -> Settings:
    """The section `data` of params.yaml; files lie in the project's folder itself unless `path` says otherwise."""
    return ADAPTER.validate_python({"path": ".", **data})


def prepared(root: Path, **data: Any) -> Prepared:
    """What `prepare` makes of the data, opened anew with its digests checked."""
    given = settings(**data)
    folder, spool = root / "prepared" / given.folder, root / ".spool"
    shutil.rmtree(spool, ignore_errors=True)
    try:
        write(folder, sources.read(given, root, spool), given)
    finally:
        shutil.rmtree(spool, ignore_errors=True)
    return Prepared.open(folder)


def refusal(root: Path, **data: Any) -> str:
    """The one line with which the data is refused, with nothing half-written and the data before left as it was."""
    folder = root / "prepared" / settings(**data).folder
    new = not folder.exists()
    if new:
        folder.mkdir(parents=True)
        (folder / "before").write_text("before")
    others = sorted(folder.parent.iterdir())
    with pytest.raises(UserError) as caught:
        prepared(root, **data)
    assert sorted(folder.parent.iterdir()) == others, "nothing temporary is left"
    if new:
        assert [path.name for path in folder.iterdir()] == ["before"]
        shutil.rmtree(folder)
    (line,) = str(caught.value).splitlines()
    return line


def examples(data: Prepared, split: str) -> np.ndarray:
    return np.asarray(data.split(split).x)


def labels(data: Prepared, split: str) -> np.ndarray:
    found = data.split(split).labels
    assert found is not None
    return np.asarray(found)


def everything(data: Prepared) -> np.ndarray:
    """The examples of all splits, one behind the other."""
    return np.concatenate([examples(data, split) for split in SPLITS])


def sorted_rows(x: np.ndarray) -> list[bytes]:
    """The rows as bytes, in an order that does not depend on theirs."""
    return sorted(row.tobytes() for row in np.ascontiguousarray(x))


def shared(name: str) -> Path:
    """A folder of real data sets beside the checkout; without it the test is skipped."""
    if not (SHARED / name).exists():
        pytest.skip(f"the real files of {name} are not in {SHARED}")
    return SHARED / name
