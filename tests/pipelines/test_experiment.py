"""DVC's copies of a project know where they came from."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.errors import UserError
from pipelines.experiment import experiment, home_of, is_copy
from pipelines.params.plan import write_plan
from pipelines.params.project import Project
from pipelines.params.reading import parse
from pipelines.stages import code
from pipelines.tracking.stage_run import run_tags
from pipelines.tracking.store import tracking_uri


@pytest.fixture(params=["standalone/tmpabc", "tmpabc"], ids=["temp", "queue"])
def copy(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A copy as DVC makes it for an experiment, of the project in `tmp_path`."""
    made = tmp_path / ".dvc/tmp/exps" / request.param
    (made / ".dvc").mkdir(parents=True)
    return made


def test_the_home_of_a_copy_is_the_project(copy: Path, tmp_path: Path) -> None:
    assert is_copy(copy) and not is_copy(tmp_path) and not is_copy(tmp_path / ".dvc/tmp/exps")
    assert home_of(copy) == tmp_path == home_of(tmp_path)
    (tmp_path / "link").symlink_to(copy)
    assert home_of(tmp_path / "link") == tmp_path


def test_a_project_in_a_folder_of_a_repository_is_found_in_it(tmp_path: Path) -> None:
    """DVC copies the whole repository: its folder in the copy tells how deep the project lies."""
    outer = tmp_path / "repository/deep"  # has .dvc; the project is a folder below
    inner = outer / ".dvc/tmp/exps/tmpabc/deep/genera"
    inner.mkdir(parents=True)
    (inner.parent / ".dvc").mkdir()
    assert home_of(inner) == outer / "genera"


def test_what_outlives_an_experiment_is_kept_at_home(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    params = {"entries": {"gmm": {"model": "gmm"}}}
    project = Project(copy, parse(params))
    assert tracking_uri(copy) == f"sqlite:///{tmp_path}/mlflow.db"
    assert project.kept == tmp_path / ".genera" and project.storage.where == str(tmp_path / ".genera")
    assert project.prepared.is_relative_to(copy) and project.artifacts("train").is_relative_to(copy)
    url = Project(copy, parse({**params, "cluster": {"storage": "s3://bucket/a"}}))
    assert url.storage.where == "s3://bucket/a"


def test_records_name_the_experiment(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    assert "dvc_experiment" not in run_tags(tmp_path, "train", "gmm")
    monkeypatch.setenv("DVC_EXP_NAME", "longer")
    assert run_tags(tmp_path, "train", "gmm")["dvc_experiment"] == "longer" == experiment(copy)


def test_data_that_a_copy_lacks_is_one_line_that_says_what_to_do(copy: Path, tmp_path: Path) -> None:
    params = parse(
        {"data": {"source": "csv", "path": "rows.csv", "test_count": 0.1}, "entries": {"maf": {"model": "maf"}}}
    )
    write_plan(copy, params)
    with pytest.raises(UserError, match=r"rows\.csv: does not exist; put the data there"):
        code.run(copy, params)
    (copy / "rows.csv.dvc").touch()
    with pytest.raises(UserError, match=r"data\.path: rows\.csv: is under DVC, and not here: `dvc pull` brings it"):
        code.run(copy, params)
    (copy / "rows.csv.dvc").unlink()
    (tmp_path / "rows.csv").touch()
    with pytest.raises(UserError) as caught:
        code.run(copy, params)
    assert str(caught.value) == (
        "params.yaml: data.path: rows.csv: is not in the copy of the project that DVC made for this experiment, since"
        " neither git nor DVC knows it: `dvc add rows.csv`, or --copy-paths rows.csv, or run the experiment in the"
        " workspace"
    )
