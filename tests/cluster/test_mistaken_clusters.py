"""Clusters on which nothing can be trained: each is one clear line, and no traceback."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster as Head

from ..shell import HANGING, killed_tree, shell
from .conftest import PLAIN, Nodes

pytestmark = pytest.mark.cluster

DRIVER = """
import sys, time
from pathlib import Path
import pipelines.cli as cli

folder, seconds = Path(sys.argv[1]), float(sys.argv[2])

def work(report, ends_soon):
    (folder / "began").touch()
    time.sleep(seconds)

def app(prog_name):
    from pipelines.cluster.launch import launch
    from pipelines.params.schema import Cluster
    launch("toy", "key", work, Cluster(workers=1, gpus_per_worker=0), folder)

cli.app = app
cli.main()
"""


def driver(head: Head, folder: Path, seconds: float, root: Path) -> subprocess.Popen[str]:
    """A process that waits for a training of so many seconds on a cluster, and says what is wrong as `genera` does."""
    environment = shell(**PLAIN, RAY_ADDRESS=str(head.address))
    command = [sys.executable, "-c", DRIVER, str(folder), str(seconds)]
    return subprocess.Popen(
        command, env=environment, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.fixture
def nodes(head: Head) -> Iterator[Nodes]:
    nodes = Nodes(head)
    try:
        yield nodes
    finally:
        while nodes.processes:
            nodes.kill()


def test_a_head_that_goes_away_is_a_line(head: Head, nodes: Nodes, tmp_path: Path, root: Path) -> None:
    nodes.add()
    process = driver(head, tmp_path, 600, root)
    deadline = time.monotonic() + HANGING
    while not (tmp_path / "began").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    killed_tree(head.head_node.all_processes["gcs_server"][0].process.pid)
    out, error = process.communicate(timeout=HANGING)
    assert process.returncode == 1
    assert error.splitlines() == [
        f"error: RAY_ADDRESS: the head of the Ray cluster at {head.address} went away (Connection refused); when it is"
        " up again, the same command goes on from what is in cluster.storage"
    ]
    assert out == ""
