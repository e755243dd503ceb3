"""What tests of tracking share: a store of their own, and a package of models with toy families."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import models
from pipelines.tracking.store import connect

from .toy_models import TOY


@pytest.fixture(autouse=True, scope="module")
def default_store() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project's folder with a new store, which takes seconds to make."""
    folder = tmp_path_factory.mktemp("made")
    connect(folder, "genera")
    return folder


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A project's folder with a store of its own: a copy, with its artifacts in its own folder."""
    shutil.copy(made / "mlflow.db", tmp_path)
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
        artifacts = (tmp_path / "mlartifacts").as_uri()
        database.execute("UPDATE experiments SET artifact_location = ? WHERE name = 'genera'", [artifacts])
    return tmp_path


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A package of models with two families: `toy` does everything, `plain` only samples."""
    folder = tmp_path / "code"
    folder.mkdir()
    for name in ("__init__.py", "columns.py", "contract.py", "dropout.py", "noise.py", "catalogue.py"):
        shutil.copy(Path(models.__file__).parent / name, folder)
    (folder / "toy.py").write_text(TOY)
    catalogue = folder / "catalogue.py"
    catalogue.write_text(catalogue.read_text() + '\nCATALOGUE = {"toy": "toy:Toy", "plain": "toy:Plain"}\n')
    return folder
