"""Projects that move, experiments that are deleted, places that are gone, and runs whose process is."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest

from pipelines.errors import UserError
from pipelines.process_mark import has_died, mark
from pipelines.tracking import left_behind
from pipelines.tracking.champion import Rules
from pipelines.tracking.left_behind import OWNER
from pipelines.tracking.registry import Offer, register
from pipelines.tracking.store import connect, tracking_uri

from .toy_models import enter, save


@pytest.mark.parametrize("copied", [False, True])
def test_a_project_that_was_moved_goes_on_in_its_new_place(
    root: Path, code: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], copied: bool
) -> None:
    old, new = tmp_path / "old", tmp_path / "new place"
    shutil.copytree(root, old, ignore=shutil.ignore_patterns("code", "old"))
    connect(old, "genera")
    enter(old, code, 0.0, 2.0)
    (shutil.copytree if copied else shutil.move)(old, new)
    before = sorted(old.rglob("*")) if copied else []
    capsys.readouterr()
    assert enter(new, code, 0.0, 2.0).decision == "already registered as version 1", "its files are found"
    (line,) = [each for each in capsys.readouterr().err.splitlines() if "tracking" in each]
    assert line.startswith(f"tracking: the project was at {old}: ") and line.endswith("now lead here")
    assert enter(new, code, 0.5, 1.0).champion
    assert "tracking:" not in capsys.readouterr().err
    assert sorted(old.rglob("*")) == before, "nothing is written to the old place"
    mlflow.set_tracking_uri(tracking_uri(new))
    try:
        loaded = mlflow.pyfunc.load_model("models:/genera-toy@champion")
    finally:
        mlflow.set_tracking_uri(None)
    assert len(loaded.predict(None, params={"task": "sample", "n": 2})) == 2


def test_a_deleted_experiment_is_one_clear_line(root: Path) -> None:
    store = connect(root, "genera")
    store.client.delete_experiment(store.experiment)
    with pytest.raises(
        UserError, match=rf"was deleted: .*restore --experiment-id {store.experiment}`, or give"
    ) as caught:
        connect(root, "genera")
    assert "\n" not in str(caught.value)


def test_two_projects_whose_models_would_have_one_name_keep_apart(root: Path, code: Path) -> None:
    folder, offer = save(root / "model"), Offer(code=code)
    tags = {"data_digest": "d"}
    register(root, "genera", "a-b", folder, {}, Rules(), tags, offer)
    with pytest.raises(UserError, match=r"genera-a-b is of the project genera, entry a-b: .*register\.prefix"):
        register(root, "genera-a", "b", folder, {}, Rules(), tags, offer)


def test_a_place_of_artifacts_that_is_gone_is_one_clear_line(
    root: Path, code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*given: object) -> None:
        raise RuntimeError("NoSuchBucket\nanatomy of a library")  # plug-ins have errors of their own

    enter(root, code, 0.0, 2.0)
    client = type(connect(root, "genera").client)
    monkeypatch.setattr(client, "log_model_artifacts", gone)
    with pytest.raises(UserError, match=r"artifacts at file:.*: NoSuchBucket; bring this place back") as caught:
        enter(root, code, 0.5, 1.0)
    assert "\n" not in str(caught.value)
    monkeypatch.setattr(mlflow.artifacts, "list_artifacts", lambda **given: gone())
    with pytest.raises(UserError, match="NoSuchBucket; bring this place back"):
        enter(root, code, 0.0, 2.0)


def test_runs_whose_process_has_died_are_ended_by_the_next_command(root: Path) -> None:
    script = (
        "import os; from pathlib import Path; from pipelines.tracking.stage_run import stage_run\n"
        "with stage_run(Path('.'), 'genera', 'train', 'vae', {}, {}, key='dead') as run:\n"
        "    run.log_curve([{'step': 1, 'objective': 2.0}]); run.child('trial', 'child').log_params({})\n"
        "    import time; time.sleep(0.1)\n"
        "    from pipelines.tracking.store import connect\n"
        "    store = connect(Path('.'), 'genera')\n"
        "    while len(store.client.search_runs([store.experiment])) < 2: time.sleep(0.1)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], cwd=root, check=False).returncode == -9
    store = connect(root, "genera")
    runs = {run.data.tags["genera_run"]: run.info for run in store.client.search_runs([store.experiment])}
    assert {key: info.status for key, info in runs.items()} == {"dead": "KILLED", "child": "KILLED"}
    assert runs["dead"].end_time >= runs["dead"].start_time


def test_runs_of_which_nothing_is_known_are_left_alone(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, other = connect(root, "genera"), {**mark(), "host": "another machine", "started": "1"}
    marks = {"of this process": mark(), "of another machine": other, "unknown": None}
    ids = {
        name: store.client.create_run(
            store.experiment, tags={} if each is None else {OWNER: json.dumps(each)}, run_name=name
        ).info.run_id
        for name, each in marks.items()
    }
    left_behind.end_left_behind(store.client, store.experiment)
    assert {store.client.get_run(run_id).info.status for run_id in ids.values()} == {"RUNNING"}
    assert has_died({**mark(), "started": "1"}) and not has_died({**mark(), "host": "", "started": "1"})
    monkeypatch.setattr(left_behind, "machine", lambda: "")
    left_behind.end_left_behind(store.client, store.experiment)


def test_the_experiment_is_the_projects_unless_the_environment_names_another(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = {}
    for variable in ("", "of the team"):
        monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", variable)
        store = connect(root, "genera")
        named[variable] = store.client.get_experiment(store.experiment).name
    assert named == {"": "genera", "of the team": "of the team"}
