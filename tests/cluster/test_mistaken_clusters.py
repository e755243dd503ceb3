"""Clusters on which nothing can be trained: each is one clear line, and no traceback."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster as Head

from ..shell import HANGING, killed_tree, shell
from .conftest import PLAIN, Nodes

pytestmark = pytest.mark.cluster
RAY = f"ray=={ray.__version__}"

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


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that has Ray, and none of the other packages."""
    folder, uv = tmp_path_factory.mktemp("bare"), shutil.which("uv")
    if uv is None:
        pytest.skip("needs uv, to make an environment")
    python = folder / "bin/python"
    for command in (("venv", "--python", sys.executable, folder), ("pip", "install", "--python", python, RAY)):
        done = subprocess.run([uv, *command], check=False, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"cannot make an environment: {done.stderr.splitlines()[-1]}")
    return folder / "bin"


def test_a_machine_without_the_packages_is_a_line(
    head: Head, nodes: Nodes, bare: Path, tmp_path: Path, root: Path
) -> None:
    nodes.add(before=f"env PATH={bare}:{os.environ['PATH']}")
    process = driver(head, tmp_path, 0, root)
    out, error = process.communicate(timeout=HANGING)
    assert process.returncode == 1
    (line,) = error.splitlines()
    begin = (
        "error: RAY_ADDRESS: the machine 127.0.1.1 of the cluster lacks dvc, fsspec, jinja2, matplotlib, mlflow and "
    )
    assert line.startswith(begin) and line.endswith(
        " more packages; start Ray there in the environment that `uv sync` makes of a checkout, or in the image of"
        " deploy/Dockerfile"
    )
    assert out == ""


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
