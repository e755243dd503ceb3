"""The tracking of runs, the registry and the served model, with toy families in a copy of the models' contract."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from mlflow.exceptions import MlflowException
from safetensors.torch import save_file

import models
from pipelines.errors import UserError
from pipelines.tracking import writer
from pipelines.tracking.champion import Decision, Rules
from pipelines.tracking.records import Record
from pipelines.tracking.registry import Offer, register
from pipelines.tracking.stage_run import add_metrics, relayed, stage_run
from pipelines.tracking.store import connect, public, tracking_uri
from pipelines.tracking.writer import writing

from .toy_models import champion, enter, save

HANGING = 300  # seconds that nobody would wait
CONSUMER = """
import sys
sys.path.insert(0, ".")
import models                                    # the consumer's own package
assert models.OWNER == "consumer"

class NotGenera:                                 # the editable install would make genera's packages importable
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "pipelines" or name.startswith("models."):
            raise AssertionError(f"the served model imports {name}")

sys.meta_path.insert(0, NotGenera())
import mlflow, numpy as np, pandas as pd, pytest
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/genera-toy@champion")

def ask(task, data=None, **params):
    return model.predict(data, params={"task": task, **params})

samples = ask("sample", n=5, seed=3)
assert samples.shape == (5, 1, 2, 2) and samples.dtype == np.uint8
assert (samples == ask("sample", n=5, seed=3)).all() and (samples != ask("sample", n=5, seed=4)).any()
assert (samples[:2] == ask("sample", n=2, seed=3)).all()
assert len(model.predict(None)) == 16
cold = ask("sample", n=30, temperature=0.0, labels=["0", "1", "2"] * 10)
assert (cold.reshape(30, 4) == np.array([0, 1, 2] * 10)[:, None]).all()
assert (ask("sample", n=2, temperature=0, positions=np.array([2])) == 2).all()
assert (ask("sample", n=2, temperature=0, labels=[2]) == 2).all(), "numbers stand for their text"
assert ask("sample", n=7, temperature=0, balanced=True).reshape(7, 4)[:, 0].tolist() == [0, 1, 2, 0, 1, 2, 0]

scores = ask("log_prob", samples, labels=["1"])
assert scores.shape == (5,) and np.isfinite(scores).all()
flat = samples.reshape(5, 4)
for same in (flat, flat.tolist(), pd.DataFrame(flat), samples.astype(float)):
    assert np.array_equal(ask("log_prob", same, labels=["1"]), scores)
many = np.tile(flat, (500, 1))
assert np.array_equal(ask("log_prob", many, labels=["1"]), np.tile(scores, 500))
codes = ask("encode", samples, labels=["1"])
assert codes.shape == (5, 4) and np.allclose(ask("decode", codes, labels=["1"]), samples)

holes = np.where(np.arange(4) < 2, flat, np.nan)
whole = ask("complete", holes, seed=3, labels=["1"])
assert whole.shape == (5, 1, 2, 2) and whole.dtype == np.uint8
assert (whole.reshape(5, 4)[:, :2] == flat[:, :2]).all() and (whole <= 4).all()
nones = [[None if np.isnan(value) else int(value) for value in row] for row in holes]
frame = pd.DataFrame(nones, dtype="Int64")
for same in (holes.reshape(samples.shape), holes.astype(np.float32), nones, frame, pd.DataFrame(holes)):
    assert np.array_equal(ask("complete", same, seed=3, labels=["1"]), whole)
assert (ask("complete", holes, seed=4, labels=["1"]) != whole).any()
assert (ask("complete", holes, temperature=0, labels=["2"]).reshape(5, 4)[:, 2:] == 2).all()
assert np.array_equal(ask("complete", samples), samples)
nothing = [[None] * 4] * 5
assert np.array_equal(ask("complete", nothing, seed=3, labels=["1"]), ask("sample", n=5, seed=3, labels=["1"]))
many = np.tile(holes, (500, 1))
assert (ask("complete", many, labels=["0", "1", "2", "0", "1"] * 500).reshape(-1, 4)[:, :2] == many[:, :2]).all()

for message, task, data, params in (
    ("allowed: sample, log_prob, encode, decode, complete", "dream", None, {}),
    ("must be integers 0 … 4", "complete", holes + 9, {}),
    ("must be integers 0 … 4", "complete", holes - 0.5, {}),
    ("NaN stands for what is missing", "complete", holes + np.inf, {}),
    ("examples have the shape (N, 1, 2, 2) or (N, 4)", "complete", holes[:, :3], {}),
    ("this task needs some", "complete", None, {}),
    ("must be an array of numbers", "complete", [["a", None, 1, 2]], {}),
    ("rows of different lengths", "complete", [[None, 1], [None]], {}),
    ("temperature", "complete", holes, {"temperature": -1.0}),
    ("2 labels for 5 rows", "complete", holes, {"labels": ["0", "1"]}),
    ("examples have the shape (N, 1, 2, 2) or (N, 4)", "log_prob", samples[:, :, :1], {}),
    ("must be integers 0 … 4", "log_prob", flat + 1.5, {}),
    ("must be integers 0 … 4", "encode", flat.astype(int) - 9, {}),
    ("NaN", "log_prob", flat * np.nan, {}),
    ("codes have the shape (N, 4)", "decode", codes[:, :3], {}),
    ("this task needs some", "log_prob", None, {}),
    ("must be an array of numbers", "log_prob", [["a"] * 4], {}),
    ("n: 0 is not allowed", "sample", None, {"n": 0}),
    ("7 is not allowed: must be of the classes 0, 1, 2", "sample", None, {"n": 1, "labels": ["7"]}),
    ("must be integers 0 … 2", "sample", None, {"n": 1, "positions": [7]}),
    ("is not read by the task encode", "encode", samples, {"n": 3}),
    ("Unrecognized params ['steps'] are not allowed", "sample", None, {"steps": 7}),
    ("reads none: leave it out", "sample", samples, {}),
    ("2 labels for 3 rows", "sample", None, {"n": 3, "labels": ["0", "1"]}),
    ("temperature", "sample", None, {"temperature": -1.0}),
    ("balanced: labels are given", "sample", None, {"labels": ["1"], "balanced": True}),
):
    with pytest.raises(mlflow.exceptions.MlflowException) as caught:
        ask(task, data, **params)
    assert caught.value.error_code == "INVALID_PARAMETER_VALUE"
    assert message in str(caught.value) and "\\n" not in str(caught.value), caught.value

import sys
carried = [m for name, m in sys.modules.items() if name.startswith("_genera_")]
assert {m.__name__.split(".")[-1] for m in carried} >= {"contract", "catalogue", "toy"}
assert all("artifacts" in m.__file__ and sys.argv[2] not in m.__file__ for m in carried)
assert not [m for m in sys.modules if m.startswith(("models.", "pipelines"))]
signature = model.metadata.signature
names = "task n seed temperature labels positions balanced where format"
assert [p.name for p in signature.params] == names.split()
assert signature.outputs
assert model.input_example is not None
print("served")
"""


def run_of(root: Path, key: str) -> Any:
    """MLflow's run with a key of ours."""
    store = connect(root, "genera")
    (run,) = store.client.search_runs([store.experiment], f"tags.genera_run = '{key}'")
    return run


def history(root: Path, key: str, name: str) -> list[tuple[int, float]]:
    run = run_of(root, key)
    points = connect(root, "genera").client.get_metric_history(run.info.run_id, name)
    return [(point.step, point.value) for point in points]


def test_measurements_within_measurements_are_metrics_under_dotted_names(root: Path) -> None:
    nested = {"nll_by_class": {"3": 1.5, "<i>four</i>": 2.5}, "outliers": {"noise": {"nll": 9.0}}, "invertible": True}
    with stage_run(root, "genera", "evaluate", "toy", {}, {}) as run:
        run.log_metrics({"fid": 0.5, **nested})
    assert run_of(root, run.key).data.metrics == {
        "fid": 0.5,
        "nll_by_class.3": 1.5,
        "nll_by_class._i_four_/i_": 2.5,
        "outliers.noise.nll": 9.0,
    }


def test_a_stage_run_records_everything(root: Path) -> None:
    began, data = int(time.time() * 1000), {"name": "digits", "digest": "0123456789abcdef" * 4}
    params = {"loop": {"steps": 3}, "long": "x" * 9000, "data": {"replace": {"<=50K.": "<=50K", ">50K.": ">50K"}}}
    with stage_run(root, "genera", "train", "toy", {"data_digest": "abc"}, params, data) as run:
        run.log_params({"late": [1, 2]})
        run.log_metrics({"objective": 0.5, "note": "no number"}, step=7)
        run.log_curve([{"step": step, "loss": 1.0 / (1 + step), "empty": None} for step in range(1500)])
        (root / "file.txt").write_text("content")
        run.log_artifact(root / "file.txt")
        (root / "toy").mkdir()
        (root / "toy" / "metrics.json").write_text("{}")
        run.log_artifact(root / "toy")
        run.set_tags({"device": "cpu"})
        trial = run.child("trial 0", "trial-0")
        trial.log_params({"kl_weight": 0.3})
        trial.log_curve([{"step": 10, "objective": 2.0}, {"step": 20, "objective": 1.0}])
        run.end_child(trial, "FINISHED")
        run.child("trial 1", "trial-1").log_params({"kl_weight": 0.4})
    done = run_of(root, run.key)
    assert done.info.status == "FINISHED"
    assert done.info.run_name == "train@toy"
    assert began <= done.info.start_time <= done.info.end_time
    assert done.data.params["loop.steps"] == "3"
    assert done.data.params["late"] == "[1, 2]"
    assert json.loads(done.data.params["data.replace"]) == params["data"]["replace"], "no signs for a name"
    assert len(done.data.params["long"]) == 6000
    assert done.data.metrics["objective"] == 0.5
    assert len(history(root, run.key, "loss")) == 1500
    assert {"stage": "train", "entry": "toy", "data_digest": "abc", "device": "cpu"}.items() <= done.data.tags.items()
    (used,) = done.inputs.dataset_inputs
    assert used.dataset.name == "digits" and data["digest"].startswith(used.dataset.digest)
    assert (root / "mlartifacts" / done.info.run_id / "artifacts" / "file.txt").read_text() == "content"
    client = connect(root, "genera").client
    paths = [each.path for each in client.list_artifacts(done.info.run_id, "train")]
    assert paths == ["train/metrics.json"], "the same for every entry"
    children = [run_of(root, key) for key in ("trial-0", "trial-1")]
    assert {each.data.tags["mlflow.parentRunId"] for each in children} == {done.info.run_id}
    assert [each.info.status for each in children] == ["FINISHED", "KILLED"], "none outlives the run above it"
    assert children[0].data.params == {"kl_weight": "0.3"}
    assert history(root, "trial-0", "objective") == [(10, 2.0), (20, 1.0)]


@pytest.mark.parametrize(("error", "status"), [(UserError("x"), "FAILED"), (KeyboardInterrupt(), "KILLED")])
def test_a_run_that_ends_by_an_exception_says_so(root: Path, error: BaseException, status: str) -> None:
    with pytest.raises(type(error)), stage_run(root, "genera", "train", None, {}, {}) as run:
        raise error
    assert run_of(root, run.key).info.status == status


def test_a_run_is_gone_on_with(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"step": step, "objective": 1.0 / step} for step in (10, 20, 30)]
    with stage_run(root, "genera", "train", "vae", {}, {"steps": 30}, key="k") as run:
        run.log_curve(rows[:2])
    with stage_run(root, "genera", "train", "vae", {}, {"steps": 40, "new": 1}, key="k", again=True) as run:
        for row in rows:  # a training that resumes tells of all its validations again
            run.log_curve([row])
    assert run_of(root, "k").info.status == "FINISHED"
    assert run_of(root, "k").data.params == {"steps": "30", "new": "1"}, "MLflow lets nobody change a parameter"
    assert history(root, "k", "objective") == [(10, 0.1), (20, 0.05), (30, pytest.approx(1 / 30))]
    add_metrics(root, "genera", "train", "vae", "k", {"speed": 5.0})
    assert run_of(root, "k").data.metrics["speed"] == 5.0 and run_of(root, "k").info.status == "FINISHED"
    assert not capsys.readouterr().err


def test_runs_carry_the_commit(root: Path) -> None:
    git = ["git", "-c", "user.name=n", "-c", "user.email=e@x", "-C", str(root)]
    (root / "tracked").write_text("1")
    for command in (["init", "-q"], ["add", "tracked"], ["commit", "-qm", "first"]):
        subprocess.run([*git, *command], check=True)
    (root / "tracked").write_text("2")
    with stage_run(root, "genera", "prepare", None, {}, {}) as run:
        pass
    tags = run_of(root, run.key).data.tags
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert (tags["git_commit"], tags["git_dirty"]) == (head, "true")


def test_an_unreachable_server_warns_once_and_the_work_goes_on(
    tmp_path: Path, nobody: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://user:secret@{nobody}")
    start = time.monotonic()
    with stage_run(tmp_path, "genera", "train", "vae", {}, {"steps": 1}) as run:
        run.log_metrics({"loss": 1.0}, step=1)
        run.log_artifact(tmp_path)
        run.child("trial", "trial").log_params({})
    assert time.monotonic() - start < HANGING
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: tracking: ")
    assert nobody in line
    assert "secret" not in line
    assert "6 records were not written" in line and "artifacts/train/vae" in line


def test_a_server_that_accepts_and_never_answers_does_not_hang_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        start = time.monotonic()
        with stage_run(tmp_path, "genera", "train", "vae", {}, {}) as run:
            run.log_metrics({"loss": 1.0}, step=1)
        assert time.monotonic() - start < HANGING
    assert "no answer within" in capsys.readouterr().err


@pytest.mark.parametrize("at_the_end", [False, True])
def test_a_store_that_is_away_for_a_while_loses_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], at_the_end: bool
) -> None:
    monkeypatch.setattr(writer, "AGAIN_SECONDS", 0.01)
    written, refused, log_points = threading.Event(), threading.Event(), writer.log_points

    def watched(*given: Any) -> None:
        try:
            log_points(*given)
            written.set()
        except Exception:
            refused.set()
            raise

    monkeypatch.setattr(writer, "log_points", watched)
    with stage_run(root, "genera", "train", "vae", {}, {}) as run:
        run.log_curve([{"step": 1, "loss": 1.0}])
        assert written.wait(HANGING)
        taken = sqlite3.connect(root / "mlflow.db", check_same_thread=False)
        taken.execute("BEGIN EXCLUSIVE")  # nobody else can write to the store
        for step in range(2, 50):
            run.log_curve([{"step": step, "loss": 1.0 / step}])
        assert refused.wait(HANGING)
        if at_the_end:
            threading.Timer(0.3, taken.close).start()
        else:
            taken.close()
    assert history(root, run.key, "loss") == [(step, pytest.approx(1 / step)) for step in range(1, 50)]
    assert run_of(root, run.key).info.status == "FINISHED" and not capsys.readouterr().err


def test_what_the_store_refuses_is_said_and_the_rest_is_written(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with stage_run(root, "genera", "train", "vae", {}, {"steps": 1}) as run:
        run.log_params({"steps": 2})  # MLflow refuses to change a parameter
        run.log_metrics({"loss": 1.0})
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: tracking: train@vae: params: Changing param values is not allowed")
    assert run_of(root, run.key).data.metrics == {"loss": 1.0}


def test_records_of_another_process_are_written_by_who_waits_for_it(root: Path) -> None:
    heard: list[Record] = []
    with relayed(heard.append), stage_run(root, "genera", "train", "vae", {}, {"steps": 1}) as run:
        run.log_curve([{"step": 1, "loss": 1.0}])
    with writing(root, "genera") as write:
        for record in pickle.loads(pickle.dumps(heard)):
            write(record)
    assert history(root, run.key, "loss") == [(1, 1.0)] and run_of(root, run.key).info.status == "FINISHED"


def test_a_damaged_database_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"no database, but long enough to look at" * 99)
    with pytest.raises(UserError, match=r"mlflow\.db: .*not a database") as caught:
        connect(tmp_path, "genera")
    assert "\n" not in str(caught.value)


def test_register_needs_the_registry(tmp_path: Path, code: Path, nobody: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://user:secret@{nobody}")
    start = time.monotonic()
    with pytest.raises(UserError, match=rf"{re.escape(nobody)}: cannot be reached") as caught:
        enter(tmp_path, code, 0.0, 1.0)
    assert time.monotonic() - start < HANGING
    assert "secret" not in str(caught.value)


def test_addresses_are_absolute_and_shown_without_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tracking_uri(tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///other.db")
    assert tracking_uri(tmp_path) == f"sqlite:///{tmp_path}/other.db"
    assert public("https://me:pass@host:5000/path?token=t") == "https://host:5000/path"
    assert public("sqlite:////folder/my@file.db?timeout=3") == "sqlite:////folder/my@file.db"


@pytest.mark.parametrize("uri", ["nonsense", "http://", "http://me:secret@[bad", "postgresql://me:secret@localhost/x"])
def test_impossible_addresses_are_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(UserError, match="MLFLOW_TRACKING_URI") as caught:
        connect(tmp_path, "genera")
    assert public(uri) in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_processes_that_meet_make_one_quiet_database(tmp_path: Path) -> None:
    script = (
        "from pathlib import Path; from pipelines.tracking.store import connect;"
        " print(connect(Path('.'), 'genera').experiment)"
    )
    command = [sys.executable, "-c", script]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    both = [subprocess.Popen(command, cwd=tmp_path, **pipes) for _ in range(2)]
    outputs = [process.communicate() for process in both]
    assert outputs[0] == outputs[1]
    assert outputs[0][1] == ""
    assert os.listdir(tmp_path) == ["mlflow.db"]


def test_content_is_registered_once(root: Path, code: Path) -> None:
    first = enter(root, code, 0.0, 2.0, {"teacher": "maf"})
    assert first == Decision(1, True, True, "moved: there was no champion")
    assert enter(root, code, 0.0, 2.0) == Decision(1, False, True, "already registered as version 1")
    store = connect(root, "genera")
    (version,) = store.client.search_model_versions("name = 'genera-toy'")
    assert version.tags["decision"] == first.decision
    assert version.tags["teacher"] == "maf"
    assert "# genera-toy" in version.description and '"task": "complete"' in version.description
    store.client.delete_registered_model_alias("genera-toy", "champion")
    assert enter(root, code, 0.0, 2.0).champion
    assert champion(store) == 1
    shutil.rmtree(root / "mlartifacts")  # a registry without the files does not have the content
    assert enter(root, code, 0.0, 2.0) == Decision(2, True, True, "moved: there was no champion")


def test_likelihoods_of_different_things_are_not_compared(root: Path, code: Path) -> None:
    enter(root, code, 0.0, 2.0)
    told = {"nll_kind": "bound", "objective_bound": "dequantised", "conditional": True}
    first = enter(root, code, 0.6, 1.2, **told)
    assert first.champion, "versions of before did not say what they are"
    for objective, other, why in (
        (1.0, {"conditional": False}, "its conditional is True and not False"),
        (0.9, {"objective_bound": "ELBO"}, "its bound is dequantised and not ELBO"),
    ):
        decision = enter(root, code, objective, objective, **{**told, **other})
        assert not decision.champion
        assert decision.decision.startswith(f"kept version {first.version}: not comparable, {why}")
    assert enter(root, code, 0.65, 1.05, **told).champion


def test_the_champion_moves_only_for_a_better_one(root: Path, code: Path) -> None:
    enter(root, code, 0.0, 2.0)
    store = connect(root, "genera")
    outcomes = [
        (enter(root, code, 0.1, 1.95), "kept version 1: nll 1.95 against 2,"),
        (enter(root, code, 0.2, 1.0, {"data_digest": "other"}), "not comparable, its data_digest is d and not other"),
        (enter(root, code, 0.3, 1.0, objective_name="fid"), "not comparable, its objective_name is nll and not fid"),
        (enter(root, code, 0.4, None), "no measured objective"),
    ]
    for decision, why in outcomes:
        assert not decision.champion
        assert why in decision.decision
        assert store.client.get_model_version("genera-toy", str(decision.version)).tags["decision"] == decision.decision
    assert champion(store) == 1
    better = enter(root, code, 0.5, 1.5)
    assert better.champion
    assert "1.5 against 2" in better.decision
    assert champion(store) == better.version == 6
    store.client.delete_model_version_tag("genera-toy", "6", "decision")  # killed before it was written down
    assert enter(root, code, 0.5, 1.5).champion


@pytest.mark.parametrize("damage", ["missing", "truncated", "other"])
def test_damaged_models_are_refused(root: Path, code: Path, damage: str) -> None:
    folder = save(root / "model")
    weights = folder / "model.safetensors"
    if damage == "missing":
        weights.unlink()
    elif damage == "truncated":
        weights.write_bytes(weights.read_bytes()[:20])
    else:
        save_file({"other": torch.zeros(1)}, weights)
    with pytest.raises(UserError, match="dvc repro") as caught:
        register(root, "genera", "toy", folder, {}, Rules(), {}, Offer(code=code))
    assert "\n" not in str(caught.value)


def test_a_registered_model_serves_without_this_repository(root: Path, code: Path, tmp_path: Path) -> None:
    enter(root, code, 0.0, 2.0)
    shutil.rmtree(code)
    here = tmp_path / "consumer"
    (here / "models").mkdir(parents=True)
    (here / "models" / "__init__.py").write_text('OWNER = "consumer"\n')
    (here / "use.py").write_text(textwrap.dedent(CONSUMER))
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW", "PYTHON"))}
    done = subprocess.run(
        [sys.executable, "-I", "use.py", tracking_uri(root), str(Path(models.__file__).parents[1])],
        cwd=here,
        env=environment | {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "served\n"), done.stderr
    assert done.stderr == ""


def test_a_model_offers_what_its_family_can(root: Path, code: Path) -> None:
    import mlflow

    folder = save(root / "model", "plain", conditional=False)
    metrics = {"objective": 1.0, "objective_name": "fid"}
    register(root, "genera", "plain", folder, metrics, Rules(), {}, Offer(code=code))
    mlflow.set_tracking_uri(tracking_uri(root))
    try:
        model = mlflow.pyfunc.load_model("models:/genera-plain@champion")
    finally:
        mlflow.set_tracking_uri(None)
    assert len(model.predict(None, params={"task": "sample", "n": 3})) == 3
    for task in ("log_prob", "complete"):
        with pytest.raises(MlflowException, match=f"'{task}' is not offered by this model; allowed: sample$"):
            model.predict(None, params={"task": task})
    with pytest.raises(MlflowException, match="unconditional"):
        model.predict(None, params={"task": "sample", "positions": [1]})
