"""Twenty machines killed at random moments: under trainings of a VAE, a GAN and a student, and under a search.

    pytest -m cluster tests/cluster/test_random_kills.py -s

prints what became of each. The nodes of the workers are killed by the tree of their processes, and replaced; where it
is the turn of the machine with the controller, that is the process that waits for the training, which is started again.
"""

from __future__ import annotations

import json
import multiprocessing
import random
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import ray
import torch

from models.catalogue import build, family_class
from models.contract import Event, Family
from models.distillation import Distillation
from pipelines.cluster.launch import EndsSoon, Report, Work, launch
from pipelines.cluster.search import search
from pipelines.cluster.trials import Journal
from pipelines.data.examples import Examples
from pipelines.params.schema import Cluster, Loop, Search
from pipelines.storage import Folder
from pipelines.training.loop import fit
from pipelines.training.task import Task

from ..pipelines.cluster.test_cluster import Unheard
from ..shell import HANGING
from .conftest import EACH, STEPS, Nodes, weights
from .test_searches import SPACE, finished, trial_of
from .test_searches import STEPS as TRIAL_STEPS

pytestmark = pytest.mark.cluster
EVENT = Event((6,), None)
KILLS = 5  # of each of the four
TWO = Cluster(workers=2, gpus_per_worker=0)


def training(kind: str, folder: Path, seconds: float) -> Work:
    """A small training whose validations last so many seconds, and are noted; each worker notes where it runs."""

    def work(report: Report, ends_soon: EndsSoon) -> None:
        rank = torch.distributed.get_rank()
        folder.mkdir(exist_ok=True)
        (folder / f"rank-{rank}").write_text(ray.get_runtime_context().get_node_id())
        torch.manual_seed(0)
        x = torch.randn(256, 6)
        family, players = family_of(kind, x)

        def validate() -> dict[str, float]:
            time.sleep(seconds)
            if rank == 0:
                with (folder / "validated").open("a") as noted:
                    noted.write("x")
            return {"objective": float(sum(each.double().square().sum() for each in family.parameters()))}

        loop = Loop(steps=STEPS, batch_size=33, validate_every=EACH, checkpoint_every=EACH, ema_decay=0.9)
        fit(Task("toy", family, players, Examples(x.numpy(), None), validate), loop, 0, Folder(folder), report)

    return work


def family_of(kind: str, x: torch.Tensor) -> tuple[Family, Any]:
    """A model and its players: those of a VAE, of a GAN, or of a student that imitates an untrained teacher."""
    sizes: dict[str, dict[str, Any]] = {
        "vae": {"latent": 2, "hidden": (16,), "decoder": "gaussian"},
        "gan": {"architecture": "mlp", "latent": 4, "hidden": (16,)},
        "maf": {"blocks": 2, "hidden": (16,)},
        "iaf": {"blocks": 2, "hidden": (16,)},
    }

    def made(name: str) -> Family:
        family = build(name, family_class(name).Config(**sizes[name]), EVENT)
        family.initialise(x, None, torch.Generator().manual_seed(0))
        return family

    if kind != "student":
        return (family := made(kind)), family.players()
    teacher, student = made("maf"), made("iaf")
    return student, Distillation(student, teacher).players()


@pytest.mark.parametrize("kind", ["vae", "gan", "student"])
def test_trainings_end_with_the_bits_of_undisturbed_ones(kind: str, nodes: Nodes, tmp_path: Path) -> None:
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


def test_a_search_runs_nothing_again_that_has_ended(nodes: Nodes, tmp_path: Path) -> None:
    for _ in range(2):
        nodes.add()
    settings = Search(trials=12, steps=TRIAL_STEPS, grace_steps=TRIAL_STEPS, max_concurrent=4, max_failures=20)
    ended, rewritten, seen = threading.Event(), list[str](), dict[str, str]()

    def kill() -> None:
        chance = random.Random("search")
        for _ in range(KILLS):
            ended.wait(chance.uniform(2, 8))
            nodes.kill(chance.choice(nodes.processes))
            nodes.add()
            now = finished(tmp_path / "journal")
            rewritten.extend(name for name, text in seen.items() if now[name] != text)
            seen.update(now)

    killer = threading.Thread(target=kill)
    killer.start()
    journal = Journal(Folder(tmp_path / "journal"))
    trial = trial_of(tmp_path / "states", 0.3)
    results = search("tune@toy", journal, trial, SPACE, settings, Cluster(), Unheard())
    ended.set()
    killer.join()
    assert [result.number for result in results] == list(range(12)) and not rewritten
    steps = [json.loads(line)["step"] for file in (tmp_path / "states").iterdir() for line in file.open()]
    print(f"search: {KILLS} kills; {len(steps) - 12 * TRIAL_STEPS} of {12 * TRIAL_STEPS} steps made again")
    for result in results:
        assert result.failure is None and [row["step"] for row in result.history] == list(range(1, TRIAL_STEPS + 1))
    assert len(steps) == 12 * TRIAL_STEPS, "each trial goes on after its last report"
