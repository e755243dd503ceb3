"""DVC as its users use it: experiments in the workspace, in copies and in the queue; what it shows; remotes; no git."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from .forked import quick_genera
from .shell import HANGING, run, shell

pytestmark = pytest.mark.slow
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
PARAMS = """\
defaults:
  train: {batch_size: 64, validate_every: 5}
entries:
  gmm: {model: gmm, config: {components: 3}, train: {steps: 4, validate_every: 2}}
  made: {model: made, config: {hidden: [16]}, train: {steps: 10}}
evaluate:
  {samples: 100, references: 100, neighbours: 3, draws: 1, speed_batch: 16, speed_runs: 1, classifier: {steps: 20}}
cluster: {workers: 0}
"""
IDENTITY = ("-c", "user.name=a", "-c", "user.email=a@example.org")


class Toy:
    """A project in a folder, whose commands start at once."""

    def __init__(self, folder: Path, root: Path, programs: str) -> None:
        self.folder, self._root, self._programs = folder, root, programs
        self._more = {"PATH": f"{programs}{os.pathsep}{shell()['PATH']}", "PYTHONPATH": str(root)}

    def __call__(self, *command: str | Path, code: int = 0) -> str:
        done = run(self.folder, *command, **self._more)
        assert done.returncode == code
        return done.stdout + done.stderr

    def at(self, folder: Path) -> Toy:
        """Another project, with the same commands."""
        return Toy(folder, self._root, self._programs)

    def sql(self, query: str) -> list[tuple[str, ...]]:
        with closing(sqlite3.connect(self.folder / "mlflow.db")) as store:
            return store.execute(query).fetchall()

    def champions(self) -> list[tuple[str, ...]]:
        return self.sql("SELECT name, version FROM registered_model_aliases WHERE alias = 'champion' ORDER BY name")

    def of_experiment(self, name: str) -> list[str]:
        """The runs that are recorded as those of an experiment."""
        query = "SELECT r.name FROM runs r JOIN tags t ON t.run_uuid = r.run_uuid WHERE t.key = 'dvc_experiment'"
        return [row[0] for row in self.sql(f"{query} AND t.value = '{name}'")]

    def jobs(self) -> set[str]:
        """The states of trainings, from which others go on."""
        return {str(path) for path in (self.folder / ".genera/state").glob("train-*")}


@pytest.fixture(scope="module")
def programs() -> Iterator[str]:
    with quick_genera(shell(OMP_NUM_THREADS="1")) as folder:
        yield folder


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest, programs: str) -> Toy:
    """A project on which `dvc repro` was run once, and what it made is committed."""
    root, folder = Path(request.config.rootpath), tmp_path_factory.mktemp("dvc") / "project"
    for name in ("models", "pipelines"):
        shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (".dvcignore", ".gitignore"):
        shutil.copy(root / name, folder)
    toy = Toy(folder, root, programs)
    toy("git", "init", "-q")
    toy("dvc", "init", "-q")
    shutil.copytree(root / ".dvc/plots", folder / ".dvc/plots")
    shutil.copy(root / ".dvc/config", folder / ".dvc")
    (folder / "params.yaml").write_text(PARAMS)
    toy("genera", "plan")
    toy("dvc", "repro")
    toy("git", "add", "-A")
    toy("git", *IDENTITY, "commit", "-q", "-m", "measured")
    return toy


# What DVC shows


def test_a_few_metrics_are_shown_the_entries_below_each_other(toy: Toy) -> None:
    shown = json.loads(toy("dvc", "metrics", "show", "--json"))
    files = next(iter(shown.values()))["data"]
    assert list(files) == [f"artifacts/evaluate/{entry}/headline.json" for entry in ("gmm", "made")]
    for file, each in files.items():
        assert list(each["data"]) == ["val_nll_bits_per_dim", "nll_bits_per_dim", "fid"]
        whole = json.loads((toy.folder / file).with_name("metrics.json").read_text())
        assert each["data"]["fid"] == whole["fid"] and each["data"]["val_nll_bits_per_dim"] == whole["objective"]


def test_plots_say_whose_they_are_and_are_read_without_a_network(toy: Toy, tmp_path: Path) -> None:
    toy("dvc", "plots", "show")
    page = (toy.folder / "dvc_plots/index.html").read_text()
    titles = [json.loads(spec)["title"]["text"] for spec in re.findall(r"var spec = (\{.*\});", page)]
    own = [f"{name}: validation objective (lower is better)" for name in ("features", "gmm", "made")]
    assert sorted(titles) == sorted([*own, "validation NLL of all entries (lower is better)"])
    assert "<script src" not in page and "<link" not in page
    assert "dvc_plots" not in toy("git", "status", "--porcelain")
    if BROWSER is None:
        pytest.skip("there is no browser here")
    flags = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--dump-dom")
    drawn = run(tmp_path, BROWSER, *flags, f"--user-data-dir={tmp_path}", f"file://{toy.folder}/dvc_plots/index.html")
    assert drawn.stdout.count("<polyline") == 3 + 2, "one for each, and the two entries side by side"
    assert all(f"<figcaption>{title}</figcaption>" in drawn.stdout for title in titles)


# Experiments


def test_an_experiment_in_the_workspace_is_recorded_and_moves_no_champion(toy: Toy) -> None:
    before = toy.champions()
    toy("dvc", "exp", "run", "-n", "longer", "-S", "entries.made.train.steps=15")
    assert toy.champions() == before and len(before) == 2
    assert {"train@made", "evaluate@made"} <= set(toy.of_experiment("longer"))
    assert toy.sql("SELECT count(*) FROM model_versions WHERE name = 'digits-made'") == [(2,)]
    rows = [line.split() for line in toy("dvc", "metrics", "diff").splitlines()]
    assert {row[0] for row in rows[1:]} == {"artifacts/evaluate/made/headline.json"} and len(rows) == 1 + 3
    table = toy("dvc", "exp", "show", "--csv", "--only-changed", "--drop", "(artifacts|data)/[^:]*$|models$|pipelines$")
    columns = table.splitlines()[0].split(",")
    metrics = [f"artifacts/evaluate/made/headline.json:{name}" for name in ("val_nll_bits_per_dim", "fid")]
    assert {"entries.made.train.steps", *metrics} <= set(columns) and len(columns) < 20
    toy("git", "checkout", "-q", ".")
    toy("dvc", "checkout", "-q")


def marked(toy: Toy) -> None:
    """Put a line into the code of the project."""
    stage = toy.folder / "pipelines/stages/train.py"
    text = stage.read_text()
    last = "        write_outcome(project.made(entry), done, config, metrics, run)\n"
    assert last in text
    stage.write_text(text.replace(last, last.replace("metrics,", '{**metrics, "marked": 1},')))


def measured_by(toy: Toy, experiment: str) -> dict[str, float]:
    """What DVC has committed as measured by the training of an experiment."""
    names = toy("git", "for-each-ref", "--format=%(refname)", "refs/exps").split()
    (ref,) = [name for name in names if name.endswith(f"/{experiment}")]
    found: dict[str, float] = json.loads(toy("git", "show", f"{ref}:artifacts/train/gmm/metrics.json"))
    return found


def test_in_a_copy_and_in_the_queue_the_workspaces_code_runs_and_records_go_to_the_project(toy: Toy) -> None:
    before, jobs = toy.champions(), toy.jobs()
    marked(toy)
    said = toy("dvc", "exp", "run", "--temp", "-n", "copied", "-S", "entries.gmm.train.steps=6", "train@gmm")
    assert "genera: the code of this folder runs: pipelines/stages/train.py is not that of " in said
    toy("dvc", "exp", "run", "--queue", "-n", "queued", "-S", "entries.gmm.train.steps=8", "train@gmm")
    toy("git", "checkout", "-q", "pipelines")  # what was queued has the line, and the workspace no more
    toy("dvc", "queue", "start")
    deadline = time.monotonic() + HANGING
    while "Success" not in (status := toy("dvc", "queue", "status")) and time.monotonic() < deadline:
        assert "Failed" not in status
        time.sleep(2)
    for name, steps in (("copied", 6), ("queued", 8)):
        found = measured_by(toy, name)
        assert found["marked"] == 1 and found["steps"] == steps
        assert toy.of_experiment(name) == ["train@gmm"]
    assert toy.champions() == before and toy.jobs() > jobs, "resume points are in the project"
    assert toy("git", "status", "--porcelain") == ""


# Remotes, raw data, no git


def test_a_clone_pulls_what_was_pushed_and_has_nothing_to_do(toy: Toy, tmp_path: Path) -> None:
    store = tmp_path / "store"
    toy("dvc", "remote", "add", "--local", "store", str(store))
    toy("dvc", "push", "-q", "-r", "store")
    toy("git", "clone", "-q", ".", str(tmp_path / "clone"))
    clone = toy.at(tmp_path / "clone")
    clone("dvc", "remote", "add", "--local", "-d", "store", str(store))
    clone("dvc", "pull", "-q")
    assert "up to date" in clone("dvc", "status")
    said = clone("dvc", "repro")
    assert "Running stage" not in said and "up to date" in said
    assert clone("git", "status", "--porcelain") == ""
    assert "mlflow.db has lost the models: they will be registered again" in clone("genera", "plan")


def test_raw_data_can_be_put_under_dvc(toy: Toy, tmp_path: Path) -> None:
    project = toy.at(tmp_path)
    shutil.copy(toy.folder / ".gitignore", tmp_path)
    project("git", "init", "-q")
    project("dvc", "init", "-q")
    for name in ("data/raw/flowers/rose/1.png", "data/raw/of/2026/rows.csv", "data/raw/unknown.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("content")
    project("dvc", "add", "-q", "data/raw/flowers", "data/raw/of/2026/rows.csv")
    found = project("git", "status", "--porcelain", "--untracked-files=all", "data").split()[1::2]
    # git ignores files there as it is; folders are named in a .gitignore beside them
    assert found == ["data/raw/.gitignore", "data/raw/flowers.dvc", "data/raw/of/2026/rows.csv.dvc"]


def test_a_downloaded_zip_works_without_git(toy: Toy, tmp_path: Path) -> None:
    left_out = shutil.ignore_patterns(".git", "tmp", "config.local")
    shutil.copytree(toy.folder, tmp_path / "zip", ignore=left_out, symlinks=True)
    project = toy.at(tmp_path / "zip")
    assert "is not a git repository" in project("dvc", "repro", code=255)
    settled = "plan: there is no git here: DVC does without (core.no_scm in .dvc/config.local), which leaves out"
    assert project("genera", "plan") == f"{settled} experiments\n"
    said = project("dvc", "repro")
    assert "Running stage" not in said and "up to date" in said
    (tmp_path / "zip/report/numbers.csv").unlink()
    assert "Running stage 'compare'" in project("dvc", "repro", "compare")
    assert "no git repository" in (tmp_path / "zip/report/index.html").read_text()
    project("git", "init", "-q")
    assert "`dvc config --local --unset core.no_scm` brings experiments back" in project("genera", "plan")
