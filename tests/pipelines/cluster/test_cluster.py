"""The Ray glue: addresses and resources without Ray, then launches and searches with it."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import pytest
import ray
import torch
from ray.exceptions import RayActorError
from torch import distributed

from pipelines.cluster import connect, data_parallel
from pipelines.cluster.address import endpoint
from pipelines.cluster.connect import connected, resolve_workers
from pipelines.cluster.launch import Work, launch
from pipelines.cluster.search import OBJECTIVE, Space, Trial, TrialResult, _Proposals, search
from pipelines.errors import UserError
from pipelines.files import write_json
from pipelines.params.schema import Cluster, Dimension, Search

from ...shell import HANGING, killed_tree

TRIALS = 8
STEPS = 200


@pytest.fixture(autouse=True)
def no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.fixture
def two_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "local_cpus", lambda: 2)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.0.0.1:6379", ("10.0.0.1", 6379)),
        ("ray://head:10001", ("head", 10001)),
        ("[::1]:6379", ("::1", 6379)),
        ("head", None),
        ("head:port", None),
        ("http://head:8265", None),
        ("", None),
    ],
)
def test_endpoint(address: str, expected: tuple[str, int] | None) -> None:
    assert endpoint(address) == expected


def refuse(**_: Any) -> None:
    raise AssertionError("Ray was asked for a cluster that nobody answers for")


def test_unreachable_address_is_one_quick_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as deaf:  # its port is taken, and nobody listens there
        deaf.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{deaf.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", address)
        monkeypatch.setattr(ray, "init", refuse)  # which would wait for minutes
        with pytest.raises(UserError, match=f"RAY_ADDRESS: no Ray cluster answers at {address}") as error:
            resolve_workers(Cluster(address="ignored:1"))
    assert "\n" not in str(error.value)


def test_malformed_address_says_what_is_allowed() -> None:
    with pytest.raises(UserError, match=r"cluster.address: 'nowhere' is not allowed: must be host:port"):
        resolve_workers(Cluster(address="nowhere"))


@pytest.mark.usefixtures("two_cpus")
def test_workers_on_two_cpus() -> None:
    assert resolve_workers(Cluster(workers="auto")) == 0
    assert resolve_workers(Cluster(workers=0)) == 0
    assert resolve_workers(Cluster(workers=2)) == 2
    with pytest.raises(UserError, match=r"cluster.workers: 3 is not allowed here: 3 workers need 3 CPUs and .* has 2"):
        resolve_workers(Cluster(workers=3))
    with pytest.raises(UserError, match="2 workers need 4 CPUs"):
        resolve_workers(Cluster(workers=2, cpus_per_worker=2))


def test_auto_is_one_worker_per_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert resolve_workers(Cluster()) == 4
    assert resolve_workers(Cluster(gpus_per_worker=2)) == 2
    with pytest.raises(UserError, match="need 8 GPUs and this cluster has 4"):
        resolve_workers(Cluster(workers=1, gpus_per_worker=8))


def test_trial_result() -> None:
    history = [{"step": 1, "objective": 3.0}, {"step": 2, "objective": 1.0}, {"step": 3, "objective": 2.0}]
    result = TrialResult(0, {}, history, stopped_early=False)
    assert (result.step, result.objective, result.best_step, result.best_objective) == (3, 2.0, 2, 1.0)
    failed = TrialResult(0, {}, history, stopped_early=False, failure="diverged")
    assert (failed.step, failed.objective, failed.best_objective) == (3, None, None)


def work_of(error: Exception | None, file: Path) -> Work:
    def work(report: Callable[[dict[str, float]], None]) -> None:
        value = torch.ones(1)
        if distributed.is_initialized():
            value += distributed.get_rank()
            distributed.all_reduce(value)
        for step in range(3):
            report({"step": float(step)})
        if error is not None:
            raise error
        write_json(file, [value.item(), torch.get_num_threads()])

    return work


def test_launch_in_this_process(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    for _ in range(2):  # a finished run may be launched again
        launch("run", work_of(None, tmp_path / "out.json"), Cluster(workers=0), tmp_path)
    assert json.loads((tmp_path / "out.json").read_text()) == [1.0, 1]
    for error in (UserError("step 7: the loss is NaN"), TypeError("a bug")):
        with pytest.raises(type(error), match=str(error)):
            launch("run", work_of(error, tmp_path / "out.json"), Cluster(workers=0), tmp_path)
    assert torch.get_num_threads() == threads


def test_which_failure_of_a_worker_counts() -> None:
    collateral, user, died = RuntimeError("Connection closed by peer"), UserError("the loss is NaN"), RayActorError()
    assert data_parallel._cause([collateral, user]) is user
    assert data_parallel._cause([collateral, died]) is died
    assert data_parallel._lost_worker(died, workers=1)
    assert data_parallel._lost_worker(collateral, workers=2)
    assert not data_parallel._lost_worker(collateral, workers=1)
    assert not data_parallel._lost_worker(user, workers=2)


def proposed(sampler: Literal["tpe", "random"], objective: Callable[[dict[str, Any]], float]) -> list[dict[str, Any]]:
    """40 proposals, each made when the objective of those before is known."""
    space = {
        "variance": Dimension(choices=[None, 0.1]),
        "norm": Dimension(choices=[True, False, 1]),
        "hidden": Dimension(choices=[[64], [128, 128], []]),
        "lr": Dimension(low=1e-3, high=1.0, log=True),
    }
    proposals, found = _Proposals(Space(space), Search(trials=40, sampler=sampler)), []
    for number in range(40):
        config = proposals.suggest(str(number))
        assert config["number"] == number
        found.append(config["parameters"])
        proposals.on_trial_complete(str(number), {OBJECTIVE: objective(found[-1])})
    return found


def test_choices_may_be_anything() -> None:
    found = proposed("random", lambda parameters: 0.0)
    assert {json.dumps(each["variance"]) for each in found} == {"null", "0.1"}
    assert {json.dumps(each["norm"]) for each in found} == {"true", "false", "1"}
    assert {json.dumps(each["hidden"]) for each in found} == {"[64]", "[128, 128]", "[]"}


def test_tpe_learns_from_results_and_random_does_not() -> None:
    def likes_64(parameters: dict[str, Any]) -> float:
        return float(parameters["hidden"] != [64])

    def likes_128(parameters: dict[str, Any]) -> float:
        return float(parameters["hidden"] != [128, 128])

    assert proposed("random", likes_64) == proposed("random", likes_128)
    assert sum(likes_64(each) for each in proposed("tpe", likes_64)[20:]) < 7
    assert sum(likes_128(each) for each in proposed("tpe", likes_128)[20:]) < 7
    assert sum(likes_64(each) for each in proposed("random", likes_64)[20:]) >= 10


def quadratic(folder: Path, seconds: float) -> Trial:
    """A resumable descent on (x-1)², with its rows in a file; fails for a width of 1."""

    def trial(parameters: dict[str, Any], report: Callable[[dict[str, float]], None]) -> None:
        key = hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()[:12]
        file = folder / f"{key}.json"
        rows = json.loads(file.read_text()) if file.exists() else []
        for row in rows:
            report(row)
        if parameters["width"] == 1:
            raise UserError("diverged")
        x = rows[-1]["x"] if rows else 5.0
        for step in range(len(rows) * 25 + 25, STEPS + 1, 25):
            time.sleep(seconds)
            x -= parameters["lr"] * (x - 1)
            rows.append({"step": step, "objective": (x - 1) ** 2, "x": x})
            write_json(file, rows)
            report(rows[-1])

    return trial


def search_quadratic(folder: Path, seconds: float = 0.0) -> list[TrialResult]:
    space = {
        "lr": Dimension(low=1e-3, high=1.0, log=True),
        "width": Dimension(low=1, high=4),
        "activation": Dimension(choices=["relu", None, [8, True]]),
    }
    settings = Search(trials=TRIALS, steps=STEPS, grace_steps=25, reduction_factor=2, seed=0)
    return search(
        "toy",
        quadratic(folder / "states", seconds),
        Space(space, frozenset({"width"})),
        settings,
        Cluster(),
        folder / "storage",
    )


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        with connected(Cluster()):
            yield


@pytest.fixture(scope="module")
def undisturbed(cluster: None, tmp_path_factory: pytest.TempPathFactory) -> list[TrialResult]:
    folder = tmp_path_factory.mktemp("undisturbed")
    results = search_quadratic(folder)
    assert search_quadratic(folder) == results
    return results


@pytest.mark.slow
def test_search(undisturbed: list[TrialResult]) -> None:
    assert [result.number for result in undisturbed] == list(range(TRIALS))
    assert any(result.stopped_early for result in undisturbed)
    for result in undisturbed:
        assert isinstance(result.parameters["width"], int)
        assert result.parameters["activation"] in ("relu", None, [8, True])
        if result.parameters["width"] == 1:
            assert (result.failure, result.objective, result.stopped_early) == ("diverged", None, False)
        else:
            assert result.stopped_early == (result.step != STEPS)
            assert [row["step"] for row in result.history] == list(range(25, (result.step or 0) + 1, 25))
    assert any(result.failure for result in undisturbed)
    assert any(isinstance(result.parameters["activation"], list) for result in undisturbed)


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_errors_of_trials(tmp_path: Path) -> None:
    def diverges(parameters: dict[str, Any], report: Callable[[dict[str, float]], None]) -> None:
        raise UserError("the loss is NaN")

    def breaks(parameters: dict[str, Any], report: Callable[[dict[str, float]], None]) -> None:
        raise TypeError("a bug")

    space = Space({"lr": Dimension(low=0.0, high=1.0)})
    with pytest.raises(UserError, match="search a: every trial failed; the first with: the loss is NaN"):
        search("a", diverges, space, Search(trials=2), Cluster(), tmp_path)
    with pytest.raises(TypeError, match="a bug"):
        search("b", breaks, space, Search(trials=2), Cluster(), tmp_path)
    with pytest.raises(UserError, match=r"defaults.search.cpus_per_trial: 512 is not allowed here"):
        search("c", breaks, space, Search(trials=2, cpus_per_trial=512), Cluster(), tmp_path)


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_launch_two_workers(tmp_path: Path) -> None:
    if connect.resources(Cluster())[0] < 2:
        pytest.skip("needs 2 CPUs")
    launch("two", work_of(None, tmp_path / "out.json"), Cluster(workers=2, gpus_per_worker=0), tmp_path)
    assert json.loads((tmp_path / "out.json").read_text()) == [3.0, 1]


@pytest.mark.slow
def test_killed_search_ends_like_an_undisturbed_one(undisturbed: list[TrialResult], tmp_path: Path, root: Path) -> None:
    code = f"import pathlib, {__name__} as t; t.search_quadratic(pathlib.Path({str(tmp_path)!r}), 0.1)"
    journal = tmp_path / "storage" / "search" / "toy" / "trials.json"
    with subprocess.Popen([sys.executable, "-c", code], cwd=root) as process:
        deadline = time.monotonic() + HANGING
        while time.monotonic() < deadline and not (journal.exists() and len(json.loads(journal.read_text())) >= 2):
            assert process.poll() is None
            time.sleep(0.05)
        killed_tree(process.pid)
    assert 2 <= len(json.loads(journal.read_text())) < TRIALS
    resumed = search_quadratic(tmp_path)  # in this process, and on this module's cluster
    assert [asdict(result) for result in resumed] == [asdict(result) for result in undisturbed]
