"""Machines that are taken away from a training: by a blow, with an announcement, with none to replace them."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import ray
import torch

from pipelines.cluster import board
from pipelines.cluster import run as running
from pipelines.cluster.launch import EndsSoon, Report, Work, launch
from pipelines.cluster.run import run_tasks
from pipelines.cluster.tasks import Needs, Task
from pipelines.errors import UserError
from pipelines.params.schema import Cluster

from ..shell import HANGING
from .conftest import Nodes, last_step, weights
from .toys import STEPS

TWO = Cluster(workers=2, gpus_per_worker=0)
LOST = "toy: a worker was lost; going on from the last checkpoint when it is replaced"
NOTICE = 6.0  # seconds from the announcement to the end
PREEMPTION = 2  # as Ray numbers the reasons for which a node is drained


def at_step(step: int, folder: Path, act: Callable[[], None]) -> threading.Thread:
    """Act as soon as a training has a checkpoint of this step."""

    def wait() -> None:
        deadline = time.monotonic() + HANGING
        while last_step(folder) < step:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> bool:
    return found.keys() == expected.keys() and all(torch.equal(found[key], expected[key]) for key in found)


def said(capfd: pytest.CaptureFixture[str]) -> list[str]:
    """The lines that were printed, but for how far the training is, and what it waits for where that takes long."""
    lines = "".join(capfd.readouterr()).splitlines()
    return [line for line in lines if not line.startswith(("toy: step ", "toy: waits for "))]


@pytest.fixture
def undisturbed(work: Callable[[Path, float], Work], nodes: Nodes, tmp_path: Path) -> dict[str, torch.Tensor]:
    launch("toy", "undisturbed", work(tmp_path / "undisturbed", 0.0), TWO, tmp_path)
    return weights(tmp_path / "undisturbed")


@pytest.mark.slow
def test_a_killed_node_is_replaced_and_the_bits_are_the_same(
    nodes: Nodes,
    work: Callable[[Path, float], Work],
    undisturbed: dict[str, torch.Tensor],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    folder, rows = tmp_path / "killed", list[float]()

    def replace() -> None:
        nodes.kill()
        nodes.add()

    killer = at_step(STEPS // 3, folder, replace)
    launch("toy", "killed", work(folder, 0.2), TWO, tmp_path, lambda row: rows.append(row["step"]))
    killer.join()
    assert same(weights(folder), undisturbed)
    assert said(capfd) == [LOST]
    assert rows[-1] == STEPS and set(rows) == {float(step) for step in range(10, STEPS + 1, 10)}


@pytest.mark.cluster
def test_an_announced_end_is_saved_for_and_does_not_count_as_a_failure(
    nodes: Nodes,
    work: Callable[[Path, float], Work],
    undisturbed: dict[str, torch.Tensor],
    tmp_path: Path,
) -> None:
    folder, interim, ended = tmp_path / "drained", set[str](), threading.Event()

    def drain() -> None:
        node = nodes.processes[0]
        nodes.add()
        client = ray._raylet.GcsClient(address=nodes.address)
        deadline = int((time.time() + NOTICE) * 1000)
        assert client.drain_node(nodes.identity(node), PREEMPTION, "spot", deadline)[0]
        while time.time() * 1000 < deadline and not ended.is_set():
            interim.update(path.name for path in (folder / "interim").glob("step-*.safetensors"))
            time.sleep(0.02)
        nodes.kill(node)

    drainer = at_step(STEPS // 3, folder, drain)
    launch("toy", "drained", work(folder, 0.6), TWO.model_copy(update={"max_failures": 0}), tmp_path)
    ended.set()
    drainer.join()
    assert interim and same(weights(folder), undisturbed)


@pytest.mark.cluster
def test_an_elastic_training_goes_on_with_fewer(
    nodes: Nodes, work: Callable[[Path, float], Work], undisturbed: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    folder = tmp_path / "elastic"
    killer = at_step(STEPS // 3, folder, nodes.kill)
    launch("toy", "elastic", work(folder, 0.2), Cluster(workers=[1, 2], gpus_per_worker=0), tmp_path)
    killer.join()
    found = weights(folder)
    for name, value in undisturbed.items():
        if name.startswith("best/"):  # the order in which gradients are added is another one
            torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-4)


@pytest.mark.cluster
def test_what_is_not_there_is_waited_for_and_said(
    nodes: Nodes,
    work: Callable[[Path, float], Work],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(board, "WAITING_SECONDS", 1.0)
    later = threading.Timer(15.0, nodes.add)
    later.start()
    launch("toy", "three", work(tmp_path / "three", 0.0), Cluster(workers=3, gpus_per_worker=0), tmp_path)
    assert weights(tmp_path / "three")
    lines = "".join(capfd.readouterr()).splitlines()
    waits = "toy: waits for 3 workers with 1 CPU each: the 3 nodes that are up can hold 2 of them, each node for itself"
    assert any(line.startswith(waits) for line in lines)
    assert all(line.startswith(("toy: waits for 3 workers with 1 CPU each: ", "toy: step ")) for line in lines)


@pytest.mark.cluster
def test_tasks_that_wait_for_room_say_so(
    nodes: Nodes, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "WAITING_SECONDS", 1.0)

    def task(name: str, cpus: int) -> Task:
        needs = Needs(cpus, 0, cpus, 0)
        return Task(
            name, lambda: lambda tell: time.sleep(10), print, lambda result: None, lambda: False, lambda gpus: needs
        )

    standings = run_tasks([task("a", 1), task("b", 1), task("c", 1), task("reserves nothing", 0)], Cluster())
    assert {each.state for each in standings} == {"finished"}
    waits = [line for line in "".join(capfd.readouterr()).splitlines() if "wait" in line]
    assert waits and all(re.match(r"run: wait for room, 1 CPU at most: [abc]", line) for line in waits)
    assert any(line.endswith("of the 3 nodes that are up, 0 of 2 CPUs are free") for line in waits)


@pytest.mark.cluster
def test_nodes_that_are_lost_too_often_end_it_with_a_line(
    nodes: Nodes, work: Callable[[Path, float], Work], tmp_path: Path
) -> None:
    folder = tmp_path / "once"
    killer = at_step(STEPS // 3, folder, nodes.kill)
    with pytest.raises(UserError, match=r"toy: workers were lost more often than cluster.max_failures allows \(0\)"):
        launch("toy", "once", work(folder, 0.2), TWO.model_copy(update={"max_failures": 0}), tmp_path)
    killer.join()
    nodes.add()
    launch("toy", "once", work(folder, 0.0), TWO, tmp_path)
    assert weights(folder), "the same command goes on"


@pytest.mark.cluster
@pytest.mark.parametrize("ranks", [(0,), (1,), (0, 1)])
def test_a_mistake_is_not_taken_for_a_lost_machine(nodes: Nodes, tmp_path: Path, ranks: tuple[int, ...]) -> None:
    tried = tmp_path / "tried"

    def broken(kind: type[Exception]) -> Work:
        def work(report: Report, ends_soon: EndsSoon) -> None:
            with tried.open("a") as file:
                file.write("x")
            if torch.distributed.get_rank() in ranks:
                raise kind("the loss is NaN")
            torch.distributed.barrier()

        return work

    with pytest.raises(UserError, match=r"^the loss is NaN$"):
        launch("toy", "user", broken(UserError), TWO, tmp_path)
    with pytest.raises(KeyError) as caught:
        launch("toy", "bug", broken(KeyError), TWO, tmp_path)
    assert "in work" in "".join(caught.value.__notes__), "developers see where"
    assert tried.read_text() == "xxxx", "once, by each of the two workers, and not again"
