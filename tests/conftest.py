"""What all tests share: one thread, so that results do not depend on the machine, and how processes share the tests.

`make test` runs several processes (pytest-xdist): each takes one file after the other, so that what a file makes for
all its tests is made once. Files that start Ray are one unit: no two clusters are alive at once.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

os.environ["OMP_NUM_THREADS"] = "1"  # of the processes that tests start, too
ROOT = Path(__file__).parent.parent
RAY = ("tests/test_workflow.py", "tests/pipelines/test_cluster.py", "tests/pipelines/test_publishing.py")
LONG = ("tests/test_kinds_of_data.py", "tests/pipelines/preparation/test_writing.py")  # whose tests share nothing


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hands out files; all that start Ray together, and the tests of the longest ones by themselves."""
    from xdist.scheduler import LoadFileScheduling

    class Files(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file: str = super()._split_scope(nodeid)
            if file in RAY:
                return "Ray"
            return nodeid if file in LONG else file

    return Files(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, or the last process would work alone in the end."""
    order = {file: place for place, file in enumerate((*RAY, *LONG))}
    items.sort(key=lambda item: order.get(item.nodeid.partition("::")[0], len(order)))


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture
def root() -> Path:
    """The checkout."""
    return ROOT
