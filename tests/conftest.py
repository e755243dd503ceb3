"""What all tests share: one thread, so that results do not depend on the machine, and how processes share the tests.

`make test` runs several processes (pytest-xdist): each takes one file after the other, so that what a file makes for
all its tests is made once. Tests that start Ray are one unit: no two clusters are alive at once.
"""

from __future__ import annotations

import importlib
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.tracking import store

os.environ["OMP_NUM_THREADS"] = "1"  # of the processes that tests start, too
# Ray reads its switches when it is imported, which tests do first. Their clusters ask for no token, which there is on a
# machine where `ray start` was used once.
os.environ["RAY_AUTH_MODE"] = "disabled"
importlib.import_module("pipelines.cluster")
ROOT = Path(__file__).parent.parent
RAY = (
    "tests/test_workflow.py",
    "tests/cluster/",
    "tests/pipelines/cluster/",
    "tests/docs/test_tutorial_on_a_cluster.py",
    "tests/pipelines/data/test_publishing.py::test_two_workers_read_the_published_data",
)
LONG = ("tests/test_kinds_of_data.py", "tests/pipelines/data/preparation/test_writing.py")  # whose tests share nothing
MAKE_DATABASE = store._make_database


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hands out files; what starts Ray as if it were one, and the tests of the longest by themselves."""
    from xdist.scheduler import LoadFileScheduling

    class Files(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            if nodeid.startswith(RAY):
                return "Ray"
            return nodeid if nodeid.startswith(LONG) else str(super()._split_scope(nodeid))

    return Files(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, or the last process would work alone in the end."""
    first = (*RAY, *LONG)
    items.sort(key=lambda item: next((n for n, name in enumerate(first) if item.nodeid.startswith(name)), len(first)))


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's database of a project in which nothing has run."""
    folder = tmp_path_factory.mktemp("store")
    MAKE_DATABASE(folder / "mlflow.db", "empty", "elsewhere")
    return folder / "mlflow.db"


@pytest.fixture
def quick_store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Projects get a copy of the empty store: MLflow takes more than a second to make one."""

    def copy(path: Path, experiment: str, artifacts: str | None) -> None:
        if path.exists() or artifacts is None:
            MAKE_DATABASE(path, experiment, artifacts)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(request.getfixturevalue("empty_store"), path)
        with closing(sqlite3.connect(path)) as database, database:
            change = "UPDATE experiments SET name = ?, artifact_location = ? WHERE name = 'empty'"
            database.execute(change, [experiment, artifacts])

    monkeypatch.setattr(store, "_make_database", copy)
