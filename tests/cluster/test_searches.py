"""Searches on a cluster: nodes that are killed, an autoscaler that starts some, a tracking server that goes away."""

from __future__ import annotations

import json
import random
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import PIPE, STDOUT
from typing import Any

import pytest
from mlflow import MlflowClient
from ray.util import get_node_ip_address

from pipelines.cluster.connect import connected
from pipelines.cluster.launch import Work, launch
from pipelines.cluster.proposals import Space
from pipelines.cluster.search import Trial, search
from pipelines.cluster.trials import Journal, TrialResult
from pipelines.params.schema import Cluster, Dimension, Search
from pipelines.stages.tune import Trials
from pipelines.storage import Folder
from pipelines.tracking.stage_run import stage_run

from ..mlflow_server import Server, served, unasked_port
from ..pipelines.cluster.test_cluster import Unheard
from ..shell import HANGING, killed_tree, shell
from .conftest import PLAIN, STORE, Nodes, weights

pytestmark = pytest.mark.cluster
STEPS = 20
KILLS = 5
SPACE = Space({"x": Dimension(low=0.0, high=1.0)})


def trial_of(folder: Path, seconds: float) -> Trial:
    """Twenty steps, each noted in a file; called again it goes on after the last that it has noted."""

    def trial(rounds: list[dict[str, Any]], report: Callable[[dict[str, float]], None]) -> None:
        import time

        (parameters,) = rounds

        file = folder / f"{parameters['x']}.jsonl"
        for line in file.read_text().splitlines() if file.exists() else []:
            report(json.loads(line))
        done = len(file.read_text().splitlines()) if file.exists() else 0
        for step in range(done + 1, STEPS + 1):
            time.sleep(seconds)
            row = {"step": step, "objective": parameters["x"] + 1 / step}
            with file.open("a") as noted:
                noted.write(json.dumps(row) + "\n")
            report(row)

    folder.mkdir(exist_ok=True)
    return trial


def finished(folder: Path) -> dict[str, str]:
    """The files of the finished trials of a journal."""
    return {file.name: text for file in folder.glob("*.json") if '"history"' in (text := file.read_text())}


def test_killed_nodes_end_no_search_and_what_is_finished_does_not_run_again(nodes: Nodes, tmp_path: Path) -> None:
    for _ in range(2):
        nodes.add()
    settings = Search(trials=12, steps=STEPS, grace_steps=STEPS, max_concurrent=4, max_failures=20)
    ended, rewritten = threading.Event(), list[str]()

    def kill() -> None:
        chance, seen = random.Random(0), dict[str, str]()
        for _ in range(KILLS):
            ended.wait(chance.uniform(2, 8))
            nodes.kill(chance.choice(nodes.processes))
            nodes.add()
            now = finished(tmp_path / "journal")
            rewritten.extend(name for name, text in seen.items() if now[name] != text)
            seen = now

    killer = threading.Thread(target=kill)
    killer.start()
    journal = Journal(Folder(tmp_path / "journal"))
    results = search("tune@toy", journal, trial_of(tmp_path / "states", 0.3), SPACE, settings, Cluster(), Unheard())
    ended.set()
    killer.join()
    assert [result.number for result in results] == list(range(12)) and not rewritten
    for result in results:
        assert result.failure is None and [row["step"] for row in result.history] == list(range(1, STEPS + 1))
        lines = (tmp_path / "states" / f"{result.parameters['x']}.jsonl").read_text().splitlines()
        assert len(lines) == STEPS, "no step was made twice"


@pytest.fixture
def growing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A head without room for work, to which this process is connected, and an autoscaler that may start two nodes.

    Ray's own `AutoscalingCluster` begins with `ray stop`, which would end the clusters of others.
    """
    address = f"{get_node_ip_address()}:{(port := unasked_port())}"
    kinds = {
        "ray.head.default": {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
        "worker": {"resources": {"CPU": 1, "object_store_memory": STORE}, "node_config": {}, "max_workers": 2},
    }
    provider = {"type": "fake_multinode", "use_node_id_as_ip": True, "gcs_address": address}
    provider |= {"disable_node_updaters": True, "disable_launch_config_check": True}
    config = {
        "cluster_name": "growing",
        "max_workers": 2,
        "provider": provider,
        "available_node_types": {name: {"min_workers": 0, **kind} for name, kind in kinds.items()},
        "head_node_type": "ray.head.default",
        "idle_timeout_minutes": 1,
        "upscaling_speed": 1.0,
        "auth": {},
        "file_mounts": {},
        "cluster_synced_files": [],
        **{f"{kind}_commands": [] for kind in ("initialization", "worker_setup", "worker_start_ray")},
    }
    (tmp_path / "autoscaling.json").write_text(json.dumps(config))
    command = ["ray", "start", "--head", "--block", "--port", str(port)]
    command += ["--num-cpus", "0", "--object-store-memory", str(STORE), "--include-dashboard", "false"]
    command += ["--autoscaling-config", str(tmp_path / "autoscaling.json")]
    environment = shell(**PLAIN, RAY_FAKE_CLUSTER="1", AUTOSCALER_UPDATE_INTERVAL_S="1")
    with subprocess.Popen(command, env=environment, stdout=PIPE, stderr=STDOUT, text=True) as head:
        try:
            assert head.stdout is not None
            assert any("Ray runtime started" in line for line in head.stdout)
            threading.Thread(target=head.stdout.read, daemon=True).start()
            monkeypatch.setenv("RAY_ADDRESS", address)
            monkeypatch.setenv("RAY_AUTH_MODE", PLAIN["RAY_AUTH_MODE"])
            with connected(Cluster()):
                yield
        finally:
            killed_tree(head.pid)


def test_an_autoscaler_starts_what_is_asked_for(
    growing: None, work: Callable[[Path, float], Work], tmp_path: Path
) -> None:
    launch("toy", "grown", work(tmp_path / "grown", 0.0), Cluster(workers=2, gpus_per_worker=0), tmp_path)
    assert weights(tmp_path / "grown")
    settings = Search(trials=3, steps=STEPS, grace_steps=STEPS, max_concurrent=2)
    journal = Journal(Folder(tmp_path / "journal"))
    found = search("tune@toy", journal, trial_of(tmp_path / "states", 0.0), SPACE, settings, Cluster(), Unheard())
    assert [result.failure for result in found] == [None] * 3


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(tmp_path_factory.mktemp("server")) as server:
        yield server


def test_a_tracking_server_that_is_away_for_half_a_minute_loses_nothing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    journal = Journal(Folder(tmp_path / "journal"))

    def outage() -> None:
        deadline = time.monotonic() + HANGING
        while not finished(tmp_path / "journal"):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        server.stop()
        time.sleep(30)
        server.start()

    away = threading.Thread(target=outage)
    away.start()
    settings = Search(trials=6, steps=STEPS, grace_steps=STEPS, max_concurrent=2)
    with stage_run(tmp_path, "genera", "tune", "toy", {}, {}) as run:
        trial = trial_of(tmp_path / "states", 0.25)
        results = search("tune@toy", journal, trial, SPACE, settings, Cluster(), Trials(run))
    away.join()
    client = MlflowClient(server.uri)
    (experiment,) = [each for each in client.search_experiments() if each.name == "genera"]
    runs = {run.data.tags["genera_run"]: run for run in client.search_runs([experiment.experiment_id])}
    assert len(runs) == 7 and {each.info.status for each in runs.values()} == {"FINISHED"}
    for result in results:
        found = runs[f"{run.key}-{result.number}"]
        assert float(found.data.params["x"]) == result.parameters["x"]
        points = client.get_metric_history(found.info.run_id, "objective")
        assert [(point.step, point.value) for point in points] == [
            (row["step"], pytest.approx(row["objective"])) for row in result.history
        ]
        times = [point.timestamp for point in points]
        assert times == sorted(times) and times[-1] - times[0] > 3000, "the times at which they happened"
    assert "warning" not in "".join(capfd.readouterr())


def test_hundreds_of_trials_cost_the_search_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is proposed and written down for 500 trials at 100 at once, without the trials."""
    from pipelines.cluster.proposals import Proposals

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    settings, journal = Search(trials=500, steps=STEPS), Journal(Folder(tmp_path))
    dimensions = {f"x{number}": Dimension(low=1e-4, high=1.0, log=True) for number in range(4)}
    proposals, under_way, seconds = Proposals(Space(dimensions), settings, journal), list[str](), list[float]()
    for number in range(500):
        began = time.process_time()
        assert isinstance(proposals.suggest(str(number)), dict)
        under_way.append(str(number))
        if len(under_way) == 100:
            ended = under_way.pop(0)
            history = [{"step": step, "objective": 1.0 / step} for step in range(1, 6)]
            proposals.on_trial_complete(ended, history[-1])
            journal.finish(TrialResult(int(ended), journal.proposed[int(ended)].parameters, history, False))
        seconds.append(time.process_time() - began)
    first, last = sum(seconds[100:200]), sum(seconds[400:])
    assert len(list(tmp_path.glob("*.json"))) == 500
    assert last < 20 * first, "the work for a trial does not grow with the square of their number"
