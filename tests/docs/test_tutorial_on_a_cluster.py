"""The tutorial on a search is followed on a cluster of one node, which knows nothing of the reader's shell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import pytest
from ray.cluster_utils import Cluster

from pipelines.files import read_json

from ..shell import PROGRAMS
from .conftest import FEW
from .tutorial_pages import Reader

pytestmark = [pytest.mark.slow, pytest.mark.cluster]
STORE = 80 * 2**20  # bytes of a node's object store: the least that Ray allows
SEARCH: dict[str, Any] = {
    "defaults": {"search": {"trials": 3, "steps": 8, "validate_every": 4, "grace_steps": 4, "max_concurrent": 2}},
    "entries": {"vae": {"config": {"hidden": [16], "importance_samples": 2}, "train": FEW}},
}


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where a cluster of one node with two CPUs listens."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_worker_niceness", "0")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "object_store_memory": STORE})
    yield str(cluster.address)
    cluster.shutdown()


def test_a_search_on_a_cluster(reader: Callable[..., Reader], address: str) -> None:
    someone = reader("vae")
    someone.small = SEARCH
    someone.environment["RAY_AUTH_MODE"] = "disabled"
    # A program of its own, and no fork of a process that has imported Ray: it connects to the cluster.
    someone.replaced = {"first:6379": address, "genera run": f"{PROGRAMS}/genera run"}
    someone.follow("cluster_search")
    found = read_json(someone.folder / "artifacts/tune/vae/best.json")["parameters"]
    assert found.keys() == {"kl_weight", "latent"}
    assert len(pd.read_csv(someone.folder / "artifacts/tune/vae/trials.csv")) == 3
    assert read_json(someone.folder / "artifacts/train/vae/config.json")["found"] == found
