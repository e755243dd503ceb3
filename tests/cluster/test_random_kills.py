"""Machines killed at random moments under trainings of a VAE, a GAN and a student; see test_searches for a search.

    pytest -m cluster tests/cluster -k killed -s

prints what became of each. The nodes of the workers are killed by the tree of their processes, and replaced; where it
is the turn of the machine with the controller, that is the process that waits for the training, which is started again.
"""

from __future__ import annotations

import multiprocessing
import random
import threading
import time
from pathlib import Path

import pytest
import torch

from pipelines.cluster.launch import launch
from pipelines.params.schema import Cluster

from ..shell import HANGING
from .conftest import Nodes, weights
from .toys import EACH, STEPS, training

pytestmark = pytest.mark.cluster
KILLS = 5  # of each of the three
TWO = Cluster(workers=2, gpus_per_worker=0)


@pytest.mark.parametrize("kind", ["vae", "gan", "student"])
def test_killed_trainings_end_with_the_bits_of_undisturbed_ones(kind: str, nodes: Nodes, tmp_path: Path) -> None:
    launch("toy", "undisturbed", training(kind, tmp_path / "undisturbed", 0.0), TWO, tmp_path)
    folder, chance = tmp_path / "killed", random.Random(kind)
    ranks = [folder / f"rank-{rank}" for rank in range(2)]
    context, ended, killed = multiprocessing.get_context("spawn"), threading.Event(), list[str]()
    driver = [start := context.Process(target=launched, args=(kind, folder, tmp_path))]
    start.start()

    def kill() -> None:
        for turn in range(KILLS):
            ended.wait(chance.uniform(0, 4))
            while not all(each.exists() for each in ranks) and not ended.is_set():
                time.sleep(0.1)
            if ended.is_set():
                return
            if turn == KILLS - 1:
                killed.append("the controller")
                driver[0].kill()
                driver[0].join()
                driver[0] = context.Process(target=launched, args=(kind, folder, tmp_path))
                driver[0].start()
                continue
            rank = chance.randrange(2)
            node = ranks[rank].read_text()
            for each in ranks:
                each.unlink()
            nodes.kill(next(process for process in nodes.processes if nodes.identity(process) == node))
            killed.append(f"rank {rank}")
            nodes.add()

    killer = threading.Thread(target=kill)
    killer.start()
    deadline = time.monotonic() + HANGING
    while killer.is_alive() or driver[0].is_alive():
        assert time.monotonic() < deadline
        time.sleep(0.2)
        if driver[0].exitcode == 0:
            ended.set()
    assert driver[0].exitcode == 0
    validated = len((folder / "validated").read_text())
    again = validated - STEPS // EACH
    print(f"{kind}: {len(killed)} kills ({', '.join(killed)}); {again} validations of {STEPS // EACH} made again")
    found, expected = weights(folder), weights(tmp_path / "undisturbed")
    assert found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in expected)
    assert len(killed) == KILLS and again <= len(killed), "no more than what followed the last checkpoint"


def launched(kind: str, folder: Path, storage: Path) -> None:
    """In a process of its own: the training, as `genera train` would wait for it."""
    launch("toy", "killed", training(kind, folder, 0.5), TWO, storage)
