"""A cluster of several nodes on this machine, each with its own raylet, that come and go as real ones do."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from subprocess import PIPE, STDOUT

import pytest
import ray
import torch
from ray.cluster_utils import Cluster as Head

from pipelines.cluster.connect import connected
from pipelines.cluster.launch import Work
from pipelines.params.schema import Cluster
from pipelines.storage import Folder
from pipelines.training import checkpoint

from ..shell import HANGING, killed_tree, shell
from .toys import STEPS, training

STORE = 80 * 2**20  # bytes of a node's object store: the least that Ray allows


# Ray would take a token that `ray start` once made for this user, and the head of a test has none.
PLAIN = {"OMP_NUM_THREADS": "1", "RAY_AUTH_MODE": "disabled", "RAY_worker_niceness": "0"}


class Nodes:
    """The nodes of a cluster: processes of this machine that are started and killed at any moment."""

    def __init__(self, head: Head) -> None:
        self.address = str(head.address)
        self.processes: list[subprocess.Popen[str]] = []
        self._started = 0

    def add(self, cpus: int = 1, before: str = "", **environment: str) -> subprocess.Popen[str]:
        """Start a node by a program `before`, with an address of its own, as if it were another machine."""
        while True:
            self._started += 1
            node = f"{before} ray start --address {self.address} --node-ip-address 127.0.1.{self._started} --block"
            command = [*node.split(), "--num-cpus", str(cpus), "--object-store-memory", str(STORE)]
            process = subprocess.Popen(
                command, env=shell(**PLAIN, **environment), stdout=PIPE, stderr=STDOUT, text=True
            )
            assert process.stdout is not None
            if any("Ray runtime started" in line for line in process.stdout):  # it may want a port that is just taken
                self.processes.append(process)
                threading.Thread(target=process.stdout.read, daemon=True).start()
                return process
            process.wait(HANGING)

    def kill(self, process: subprocess.Popen[str] | None = None) -> None:
        """Kill a node with all that runs on it, by default the oldest."""
        process = process or self.processes[0]
        self.processes.remove(process)
        killed_tree(process.pid)
        process.wait(HANGING)

    def identity(self, process: subprocess.Popen[str]) -> str:
        """Ray's name of a node, for a process that is connected to the cluster."""
        return next(str(node["NodeID"]) for node in ray.nodes() if node["NodeManagerAddress"] in process.args)


def wait_for(count: int) -> None:
    """Until so many nodes are up beside the head, of the cluster to which this process is connected."""
    deadline = time.monotonic() + HANGING
    while sum(node["Alive"] for node in ray.nodes()) != count + 1:
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.fixture
def head(monkeypatch: pytest.MonkeyPatch) -> Iterator[Head]:
    """A head without room for workers."""
    for name, value in {**PLAIN, "RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S": "0.5"}.items():
        monkeypatch.setenv(name, value)
    head = Head(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": STORE})
    yield head
    head.shutdown()


@pytest.fixture
def nodes(head: Head, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nodes]:
    """Two nodes of a CPU each; this process is connected to their head."""
    nodes = Nodes(head)
    monkeypatch.setenv("RAY_ADDRESS", nodes.address)
    with connected(Cluster()):  # to the head's own raylet, while there is no other on this machine
        try:
            for _ in range(2):
                nodes.add()
            wait_for(2)
            yield nodes
        finally:
            while nodes.processes:
                nodes.kill()


@pytest.fixture
def work() -> Callable[[Path, float], Work]:
    """A training of a small VAE with its checkpoints in a folder, whose validations last so many seconds."""
    return partial(training, "vae")


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """The final state of a training, which has come to its end."""
    found = checkpoint.load(Folder(folder))
    assert found is not None
    groups, rest = found
    assert rest["state"]["finished"] and rest["state"]["step"] == STEPS
    return {f"{group}/{name}": value for group, named in groups.items() for name, value in named.items()}


def last_step(folder: Path) -> int:
    """The step of the newest checkpoint."""
    return max((int(path.stem.removeprefix("step-")) for path in folder.rglob("step-*.safetensors")), default=0)
