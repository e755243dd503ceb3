"""The Ray glue: addresses and resources without Ray, then launches and searches with it."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import pytest
import ray
import torch
from ray.exceptions import RayActorError
from torch import distributed

from pipelines.cluster import connect, worker
from pipelines.cluster.address import endpoint
from pipelines.cluster.asked import Asked, asked_of, complain_of_lack
from pipelines.cluster.connect import connected
from pipelines.cluster.launch import EndsSoon, Report, Work, launch
from pipelines.cluster.proposals import Proposals, Space
from pipelines.cluster.search import Trial, search
from pipelines.cluster.trials import OBJECTIVE, STEP, Journal, Proposal, TrialResult
from pipelines.device import WORKERS
from pipelines.errors import UserError
from pipelines.files import write_json
from pipelines.params.schema import Cluster, Dimension, Search
from pipelines.storage import Folder
from pipelines.training.ranks import Workers

from ...shell import HANGING, killed_tree

TRIALS = 8
STEPS = 200


@pytest.fixture(autouse=True)
def no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.0.0.1:6379", ("10.0.0.1", 6379)),
        ("ray://head:10001", None),
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
        with (
            pytest.raises(UserError, match=f"RAY_ADDRESS: no Ray cluster answers at {address}") as error,
            connected(Cluster(address="ignored:1")),
        ):
            pass
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("address", "allowed"),
    [("nowhere", "must be host:port or auto"), ("ray://head:10001", "give host:port, .* or .* `ray job submit`")],
)
def test_a_wrong_address_says_what_is_allowed(address: str, allowed: str) -> None:
    with (
        pytest.raises(UserError, match=f"cluster.address: '{address}' is not allowed: .*{allowed}"),
        connected(Cluster(address=address)),
    ):
        pass


def test_what_a_training_asks_for() -> None:
    assert asked_of(Cluster(), 0) is None
    assert asked_of(Cluster(workers=0), 4) is None
    assert asked_of(Cluster(), 4) == Asked(4, 4, 1, 1)
    assert asked_of(Cluster(gpus_per_worker=2), 4) == Asked(2, 2, 1, 2)
    assert asked_of(Cluster(workers=2), 0) == Asked(2, 2, 1, 0)
    assert asked_of(Cluster(workers=2, gpus_per_worker=1), 0) == Asked(2, 2, 1, 1), "never a CPU in its place"
    assert asked_of(Cluster(workers=[2, 8], cpus_per_worker=4), 1) == Asked(2, 8, 4, 1)
    with pytest.raises(UserError, match=r"cluster.gpus_per_worker: 1 is not allowed here: .* there are 0; set"):
        asked_of(Cluster(gpus_per_worker=1), 0)
    assert str(Asked(1, 1, 1, 0)) == "1 worker with 1 CPU"
    assert str(Asked(2, 4, 3, 1)) == "2 to 4 workers with 3 CPUs and 1 GPU each"


@pytest.mark.parametrize(
    ("cluster", "lack"),
    [
        (Cluster(workers=3), "3 workers need 3 CPUs and this machine has 2"),
        (Cluster(workers=[3, 9]), "3 workers need 3 CPUs and this machine has 2"),
        (Cluster(workers=2, cpus_per_worker=2), "2 workers need 4 CPUs"),
        (Cluster(workers=0, gpus_per_worker=1), "1 worker needs 1 GPU and this machine has 0"),
        (Cluster(workers=1, gpus_per_worker=2), "1 worker needs 2 GPUs"),
    ],
)
def test_what_this_machine_can_never_give_is_refused(cluster: Cluster, lack: str) -> None:
    with pytest.raises(UserError, match=re.escape(lack)):
        complain_of_lack(cluster, 2, 0)


def test_what_this_machine_can_give_is_not_refused() -> None:
    for cluster in (Cluster(), Cluster(workers=2), Cluster(workers=[1, 9]), Cluster(workers=0, cpus_per_worker=2)):
        complain_of_lack(cluster, 2, 0)


def test_trial_result() -> None:
    history = [{"step": 1, "objective": 3.0}, {"step": 2, "objective": 1.0}, {"step": 3, "objective": 2.0}]
    result = TrialResult(0, {}, history, stopped_early=False)
    assert (result.step, result.objective, result.best_step, result.best_objective) == (3, 2.0, 2, 1.0)
    failed = TrialResult(0, {}, history, stopped_early=False, failure="diverged")
    assert (failed.step, failed.objective, failed.best_objective) == (3, None, None)


def work_of(error: Exception | None, file: Path) -> Work:
    def work(report: Report, ends_soon: EndsSoon) -> None:
        value = torch.ones(1)
        if distributed.is_initialized():
            value += distributed.get_rank()
            distributed.all_reduce(value)
        assert not ends_soon()
        for step in range(3):
            report({"step": float(step)})
        if error is not None:
            raise error
        write_json(file, [value.item(), torch.get_num_threads()])

    return work


def test_launch_in_this_process(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    for _ in range(2):  # a finished run may be launched again
        launch("run", "key", work_of(None, tmp_path / "out.json"), Cluster(workers=0), tmp_path)
    assert json.loads((tmp_path / "out.json").read_text()) == [1.0, 1]
    for error in (UserError("step 7: the loss is NaN"), TypeError("a bug")):
        with pytest.raises(type(error), match=str(error)):
            launch("run", "key", work_of(error, tmp_path / "out.json"), Cluster(workers=0), tmp_path)
    assert torch.get_num_threads() == threads


def test_which_errors_of_workers_say_that_one_was_lost() -> None:
    gloo = RuntimeError("[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer")
    assert all(map(worker.is_loss, (gloo, RayActorError(), distributed.DistError("NCCL"))))
    shapes = RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    assert not any(map(worker.is_loss, (shapes, UserError("the loss is NaN"), TypeError("a bug"))))


def test_a_worker_whose_peers_are_gone_does_not_train_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray Train dissolves the process group of who begins while another one is lost, and ends its process later."""
    monkeypatch.setenv(WORKERS, "2")
    with pytest.raises(distributed.DistError, match="the group of 2 workers is gone") as caught:
        Workers(torch.device("cpu"))
    assert worker.is_loss(caught.value)
    monkeypatch.setenv(WORKERS, "1")
    assert Workers(torch.device("cpu")).number == 1


def proposed(
    folder: Path, sampler: Literal["tpe", "random"], objective: Callable[[dict[str, Any]], float], pause: int = 0
) -> list[dict[str, Any]]:
    """40 proposals, each made when the objective of those before is known; after a pause from the journal alone."""
    space = {
        "variance": Dimension(choices=[None, 0.1]),
        "norm": Dimension(choices=[True, False, 1]),
        "hidden": Dimension(choices=[[64], [128, 128], []]),
        "lr": Dimension(low=1e-3, high=1.0, log=True),
    }
    settings, found = Search(trials=40, sampler=sampler), list[dict[str, Any]]()
    journal = Journal(Folder(folder / uuid4().hex))
    proposals = Proposals(Space(space), settings, journal)
    for number in range(40):
        if pause and number % pause == 0:
            journal = Journal(journal._folder)
            proposals = Proposals(Space(space), settings, journal)
        config = proposals.suggest(str(number))
        assert isinstance(config, dict) and config["number"] == number
        found.append(config["parameters"])
        value = objective(found[-1])
        proposals.on_trial_complete(str(number), {OBJECTIVE: value})
        journal.finish(TrialResult(number, found[-1], [{STEP: 1, OBJECTIVE: value}], False))
    assert proposals.suggest("41") == "FINISHED"
    return found


def test_choices_may_be_anything(tmp_path: Path) -> None:
    found = proposed(tmp_path, "random", lambda parameters: 0.0)
    assert {json.dumps(each["variance"]) for each in found} == {"null", "0.1"}
    assert {json.dumps(each["norm"]) for each in found} == {"true", "false", "1"}
    assert {json.dumps(each["hidden"]) for each in found} == {"[64]", "[128, 128]", "[]"}


def likes_64(parameters: dict[str, Any]) -> float:
    return float(parameters["hidden"] != [64])


def likes_128(parameters: dict[str, Any]) -> float:
    return float(parameters["hidden"] != [128, 128])


def test_tpe_learns_from_results_and_random_does_not(tmp_path: Path) -> None:
    assert proposed(tmp_path, "random", likes_64) == proposed(tmp_path, "random", likes_128)
    assert sum(likes_64(each) for each in proposed(tmp_path, "tpe", likes_64)[20:]) < 7
    assert sum(likes_128(each) for each in proposed(tmp_path, "tpe", likes_128)[20:]) < 7
    assert sum(likes_64(each) for each in proposed(tmp_path, "random", likes_64)[20:]) >= 10


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_search_that_is_gone_on_with_proposes_what_it_would_have(
    tmp_path: Path, sampler: Literal["tpe", "random"]
) -> None:
    assert proposed(tmp_path, sampler, likes_64, pause=7) == proposed(tmp_path, sampler, likes_64)


def test_what_was_proposed_is_proposed_again_whatever_the_order(tmp_path: Path) -> None:
    space, settings = Space({"lr": Dimension(low=0.0, high=1.0)}), Search(trials=6)
    journal = Journal(Folder(tmp_path))
    proposals = Proposals(space, settings, journal)
    at_once = [proposals.suggest(str(number)) for number in range(3)]
    for number in (2, 0):  # the search is killed while number 1 runs
        parameters = journal.proposed[number].parameters
        proposals.on_trial_complete(str(number), {OBJECTIVE: parameters["lr"]})
        journal.finish(TrialResult(number, parameters, [{STEP: 1, OBJECTIVE: parameters["lr"]}], False))
    more = Proposals(space, Search(trials=8), Journal(Folder(tmp_path)))
    again = [more.suggest(str(number)) for number in range(6)]
    assert again[0] == at_once[1], "the trial that was under way"
    assert [each["number"] for each in again if isinstance(each, dict)] == [1, 3, 4, 5, 6, 7]
    assert more.suggest("7") == "FINISHED"


def quadratic(folder: Path, seconds: float) -> Trial:
    """A resumable descent on (x-1)², with its rows in a file; fails for a width of 1."""

    def trial(rounds: list[dict[str, Any]], report: Callable[[dict[str, float]], None]) -> None:
        (parameters,) = rounds
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


class Unheard:
    """Follows no trial."""

    def begin(self, number: int, parameters: dict[str, Any]) -> None: ...
    def hear(self, number: int, row: dict[str, float]) -> None: ...
    def end(self, result: TrialResult) -> None: ...


def search_quadratic(folder: Path, seconds: float = 0.0) -> list[TrialResult]:
    space = {
        "lr": Dimension(low=1e-3, high=1.0, log=True),
        "width": Dimension(low=1, high=4),
        "activation": Dimension(choices=["relu", None, [8, True]]),
    }
    settings = Search(trials=TRIALS, steps=STEPS, grace_steps=25, reduction_factor=2, seed=0)
    return search(
        "tune@toy",
        Journal(Folder(folder / "search")),
        quadratic(folder / "states", seconds),
        Space(space, frozenset({"width"})),
        settings,
        Cluster(),
        Unheard(),
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
    def diverges(rounds: list[dict[str, Any]], report: Callable[[dict[str, float]], None]) -> None:
        raise UserError("the loss is NaN")

    def breaks(rounds: list[dict[str, Any]], report: Callable[[dict[str, float]], None]) -> None:
        raise TypeError("a bug")

    space, storage = Space({"lr": Dimension(low=0.0, high=1.0)}), Folder(tmp_path)
    with pytest.raises(UserError, match="tune@a: every trial failed; the first with: the loss is NaN"):
        search("tune@a", Journal(storage / "tune@a"), diverges, space, Search(trials=2), Cluster(), Unheard())
    with pytest.raises(UserError, match=r"tune@b: every trial failed; the first with: TypeError: a bug \(test_cluster"):
        search("tune@b", Journal(storage / "tune@b"), breaks, space, Search(trials=2), Cluster(), Unheard())
    for workers, text in ((1, "512 is"), (3, "512 for each of 3 workers is")):
        settings = Search(trials=2, cpus_per_trial=512, workers_per_trial=workers)
        with pytest.raises(UserError, match=f"defaults.search.cpus_per_trial: {text} not allowed here"):
            search("tune@c", Journal(storage / "tune@c"), breaks, space, settings, Cluster(), Unheard())


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_what_cannot_go_well_fails_alone_and_more_trials_go_on(tmp_path: Path) -> None:
    """A trial raises, one is killed each time it runs, one runs out of memory; and then there are to be more trials."""
    ran = tmp_path / "ran"

    def trial(rounds: list[dict[str, Any]], report: Callable[[dict[str, float]], None]) -> None:
        (parameters,) = rounds
        with ran.open("a") as file:
            file.write(f"{parameters['kind']}\n")
        if parameters["kind"] == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if parameters["kind"] == "huge":
            torch.empty(2**60)
        if parameters["kind"] == "mute":
            return
        report({"step": 1, "objective": 1.0})

    space, storage = Space({"kind": Dimension(choices=["fine", "dies", "huge", "mute"])}), Folder(tmp_path)
    settings = Search(trials=8, sampler="random", seed=2, max_failures=1)
    first = search("tune@a", Journal(storage / "tune@a"), trial, space, settings, Cluster(), Unheard())
    kinds = [result.parameters["kind"] for result in first]
    assert {"fine", "dies", "huge", "mute"} == set(kinds), "of this seed"
    for result in first:
        failure = result.failure or ""
        reasons = {
            "dies": "its process was lost",
            "huge": "RuntimeError: ",
            "mute": "it ended and had reported nothing",
        }
        assert failure.startswith(reasons.get(result.parameters["kind"], ""))
        assert bool(failure) == (result.parameters["kind"] != "fine")
    assert sorted(ran.read_text().split()) == sorted(kinds + ["dies"] * kinds.count("dies"))
    ran.write_text("")
    more = search(
        "tune@a",
        Journal(storage / "tune@a"),
        trial,
        space,
        settings.model_copy(update={"trials": 10}),
        Cluster(),
        Unheard(),
    )
    assert more[:8] == first and len(more) == 10
    assert set(ran.read_text().split()) == {result.parameters["kind"] for result in more[8:]}
    assert search("tune@a", Journal(storage / "tune@a"), trial, space, settings, Cluster(), Unheard()) == first


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_trials_of_several_workers(tmp_path: Path) -> None:
    """All is well with one, its second worker raises or is killed in the next, and one is stopped early."""
    if connect.resources(Cluster())[0] < 2:
        pytest.skip("needs 2 CPUs")
    ran, kinds = tmp_path / "ran", ["fine", "weak", "raises", "breaks", "dies"]

    def trial(rounds: list[dict[str, Any]], report: Callable[[dict[str, float]], None]) -> None:
        kind, rank = rounds[-1]["kind"], distributed.get_rank()
        with ran.open("a") as file:
            file.write(f"{kind} {rank}\n")
        for step in range(1, 5):
            if rank == 1 and step == 3:
                if kind == "raises":
                    raise UserError("the loss is NaN")
                if kind == "breaks":
                    raise TypeError("a bug")
                if kind == "dies":
                    os.kill(os.getpid(), signal.SIGKILL)
            total = torch.tensor(float(rank + step))
            distributed.all_reduce(total)
            report({"step": step, "objective": float(total) + 100.0 * (kind == "weak")})

    space, settings = Space({"kind": Dimension(choices=kinds)}), Search(trials=5, sampler="random", steps=4)
    settings = settings.model_copy(update={"grace_steps": 1, "workers_per_trial": 2, "max_failures": 1})
    journal = Journal(Folder(tmp_path / "journal"))
    for number, kind in enumerate(kinds):
        journal.propose(Proposal(number, {"kind": kind}))
    found = search("tune@a", journal, trial, space, settings, Cluster(), Unheard())
    results = {result.parameters["kind"]: result for result in found}
    assert [row["objective"] for row in results["fine"].history] == [2.0 * step + 1 for step in range(1, 5)]
    assert results["weak"].stopped_early and results["weak"].step == 1
    assert results["raises"].failure == "the loss is NaN"
    assert (results["breaks"].failure or "").startswith("TypeError: a bug")
    assert results["dies"].failure == "its process was lost, and 1 more time when it was started again"
    lines = ran.read_text().splitlines()
    assert sorted(lines) == sorted(f"{kind} {rank}" for kind in (*kinds, "dies") for rank in range(2))


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_launch_two_workers(tmp_path: Path) -> None:
    if connect.resources(Cluster())[0] < 2:
        pytest.skip("needs 2 CPUs")
    launch("two", "key", work_of(None, tmp_path / "out.json"), Cluster(workers=2, gpus_per_worker=0), tmp_path)
    assert json.loads((tmp_path / "out.json").read_text()) == [3.0, 1]


@pytest.mark.slow
def test_killed_search_ends_like_an_undisturbed_one(undisturbed: list[TrialResult], tmp_path: Path, root: Path) -> None:
    code = f"import pathlib, {__name__} as t; t.search_quadratic(pathlib.Path({str(tmp_path)!r}), 0.1)"
    folder = tmp_path / "search"

    def finished() -> int:
        return sum('"history"' in file.read_text() for file in folder.glob("*.json"))

    with subprocess.Popen([sys.executable, "-c", code], cwd=root) as process:
        deadline = time.monotonic() + HANGING
        while time.monotonic() < deadline and finished() < 2:
            assert process.poll() is None
            time.sleep(0.05)
        killed_tree(process.pid)
    assert 2 <= finished() < TRIALS
    resumed = search_quadratic(tmp_path)  # in this process, and on this module's cluster
    assert [asdict(result) for result in resumed] == [asdict(result) for result in undisturbed]
