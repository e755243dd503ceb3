"""A cluster of several nodes on this machine, each with its own raylet, that come and go as real ones do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from ray.cluster_utils import Cluster as Nodes

from models.catalogue import build, family_class
from models.contract import Event
from pipelines.cluster.connect import connected
from pipelines.cluster.launch import EndsSoon, Report, Work
from pipelines.data.examples import Examples
from pipelines.params.schema import Cluster, Loop
from pipelines.storage import Folder
from pipelines.training import checkpoint
from pipelines.training.loop import fit
from pipelines.training.task import Task

STEPS, EACH = 300, 10  # of the training, and between two checkpoints
STORE = 80 * 2**20  # bytes of a node's object store: the least that Ray allows


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Nodes]:
    """A head without room for workers, to which this process is connected, and two nodes of a CPU each."""
    monkeypatch.setenv("RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S", "0.5")
    nodes = Nodes(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": STORE})
    try:
        for _ in range(2):
            nodes.add_node(num_cpus=1, object_store_memory=STORE)
        monkeypatch.setenv("RAY_ADDRESS", nodes.address)
        with connected(Cluster()):
            yield nodes
    finally:
        nodes.shutdown()


@pytest.fixture
def work(tmp_path: Path) -> Callable[[Path, float], Work]:
    """A training of a small VAE with its checkpoints in a folder, whose validations last so many seconds."""

    def work(folder: Path, seconds: float) -> Work:
        def train(report: Report, ends_soon: EndsSoon) -> None:
            import time

            torch.manual_seed(0)
            event = Event((6,), None)
            x = torch.randn(256, 6)
            family = build("vae", family_class("vae").Config(latent=2, hidden=(16,)), event)
            family.initialise(x, None, torch.Generator().manual_seed(0))

            def validate() -> dict[str, float]:
                time.sleep(seconds)
                return {"objective": float(sum(each.double().square().sum() for each in family.parameters()))}

            task = Task("toy", family, family.players(), Examples(x.numpy(), None), validate)
            loop = Loop(steps=STEPS, batch_size=33, validate_every=EACH, checkpoint_every=EACH, ema_decay=0.9)
            fit(task, loop, 0, Folder(folder), report, ends_soon)

        return train

    return work


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
