"""The whole workflow at toy size, as a user runs it: `dvc repro` in a project folder, real data.

It has an entry of each kind that the stages tell apart: with an exact likelihood and with a bound, searched, judged by
samples, judged by its codes, distilled. `test_kinds_of_data.py` has all entries of the default parameters.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from pipelines.files import file_digest, read_json

from .forked import quick_genera
from .shell import HANGING, PROGRAMS, interpreters, killed_tree, run, shell

pytestmark = pytest.mark.slow
ENTRIES = ["gmm", "autoencoder", "vae", "gan", "maf", "iaf", "pixelcnn"]
TRAINED = [entry for entry in ENTRIES if entry != "iaf"]
SEARCHED = ["vae", "gan"]
TOY: dict[str, Any] = {
    "defaults": {"search": {"trials": 2, "steps": 10, "validate_every": 5, "grace_steps": 5}},
    "entries": {
        "gmm": {"config": {"components": 3}, "train": {"steps": 4}},
        "autoencoder": {"config": {"hidden": [16]}},
        "vae": {"config": {"hidden": [16]}},
        "gan": {"config": {"width": 4}},
        "maf": {"config": {"hidden": [16]}},
        "iaf": {"config": {"hidden": [16]}, "distill": {"val_samples": 64}},
        "pixelcnn": {"config": {"layers": 1, "width": 4}},
    },
    "evaluate": {"samples": 100, "speed_batch": 16, "speed_runs": 1, "classifier": {"steps": 20}},
}
for _entry in ENTRIES[1:]:
    stage = "distill" if _entry == "iaf" else "train"
    TOY["entries"][_entry].setdefault(stage, {}).update({"steps": 20, "validate_every": 10})


def merge(params: dict[str, Any], change: dict[str, Any]) -> None:
    for key, value in change.items():
        if isinstance(value, dict):
            merge(params.setdefault(key, {}), value)
        else:
            params[key] = value


def stages_run(done: subprocess.CompletedProcess[str]) -> list[str]:
    return re.findall(r"Running stage '(.+)'", done.stdout)


def change(folder: Path, what: dict[str, Any]) -> None:
    """Change params.yaml as a user would."""
    yaml = YAML()
    params = yaml.load((folder / "params.yaml").read_text())
    merge(params, what)
    with (folder / "params.yaml").open("w") as file:
        yaml.dump(params, file)


def keep_entries(folder: Path) -> None:
    """Take all but `ENTRIES` out of params.yaml, as a user would."""
    yaml = YAML()
    params = yaml.load((folder / "params.yaml").read_text())
    for entry in [entry for entry in params["entries"] if entry not in ENTRIES]:
        del params["entries"][entry]
    with (folder / "params.yaml").open("w") as file:
        yaml.dump(params, file)


@pytest.fixture(scope="module")
def quick() -> Iterator[dict[str, str]]:
    """An environment in which `genera` starts at once. Some tests do without it: there each stage starts as it is."""
    environment = shell(OMP_NUM_THREADS="1")
    with quick_genera(environment) as programs:
        yield {"PATH": f"{programs}{os.pathsep}{environment['PATH']}"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest, quick: dict[str, str]) -> Path:
    """A project with toy parameters on which `dvc repro` was run once."""
    root, folder = Path(request.config.rootpath), tmp_path_factory.mktemp("project")
    for name in ("params.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(root / name, folder)
    for name in ("models", "pipelines"):  # what DVC watches; the same runs, where it is installed
        shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    keep_entries(folder)
    change(folder, TOY)
    for command in (("git", "init", "-q"), ("dvc", "init", "-q"), ("dvc", "config", "core.analytics", "false")):
        assert run(folder, *command).returncode == 0
    assert run(folder, "genera", "plan").returncode == 0
    done = run(folder, "dvc", "repro", **quick)
    assert done.returncode == 0
    assert stages_run(done) == [
        *("code", "prepare", "features"),
        *(f"tune@{entry}" for entry in SEARCHED),
        *(f"train@{entry}" for entry in TRAINED),
        "distill@iaf",
        *(f"evaluate@{entry}" for entry in ENTRIES),
        *("compare", "register"),
    ]
    assert "Traceback" not in done.stderr and "Warning" not in done.stderr + done.stdout
    return folder


def test_every_stage_leaves_what_it_promises(project: Path) -> None:
    for entry in ENTRIES:
        made = project / "artifacts" / ("distill" if entry == "iaf" else "train") / entry
        assert {path.name for path in made.iterdir()} >= {
            "model.safetensors",
            "config.json",
            "history.csv",
            "metrics.json",
            "cost.json",
        }
    assert json.loads((project / "artifacts/tune/vae/best.json").read_text())["parameters"].keys() == {"kl_weight"}
    assert (project / "artifacts/tune/vae/rate_distortion.png").stat().st_size > 1000
    assert len((project / "artifacts/tune/gan/trials.csv").read_text().splitlines()) == 3
    config = json.loads((project / "artifacts/train/vae/config.json").read_text())
    assert config["config"]["kl_weight"] == config["found"]["kl_weight"]


def test_the_comparison_is_honest(project: Path) -> None:
    rows = {row["entry"]: row for row in csv.DictReader((project / "report/comparison.csv").read_text().splitlines())}
    assert list(rows) == ENTRIES
    assert rows["gan"]["nll_bits_per_dim"] == rows["gan"]["nll_kind"] == rows["gan"]["log_probs_per_s"] == ""
    assert all(
        rows[entry]["nll_kind"] == "bound" and rows[entry]["nll_bound"] for entry in ("gmm", "vae", "maf", "iaf")
    )
    assert rows["pixelcnn"]["nll_kind"] == "exact" and rows["autoencoder"]["nll_kind"] == ""
    assert {entry: row["parallel_sampling"] for entry, row in rows.items()}["maf"] == "false"
    assert all(float(row["fid"]) > 0 and float(row["samples_per_s"]) > 0 for row in rows.values())
    page = (project / "report/index.html").read_text()
    assert all(entry in page for entry in ENTRIES)


def test_metrics_and_plots_are_declared(project: Path) -> None:
    shown = json.loads(run(project, "dvc", "metrics", "show", "--json").stdout)
    files = next(iter(shown.values()))["data"] if "" in shown else shown
    assert set(files) == {f"artifacts/evaluate/{entry}/headline.json" for entry in ENTRIES}
    done = run(project, "dvc", "plots", "show", "--out", "plots")
    assert done.returncode == 0
    assert "artifacts_train_maf_history_csv" in (project / "plots/index.html").read_text()


def test_run_again_it_does_nothing_and_says_so(project: Path) -> None:
    assert run(project, "genera", "plan").stdout == ""
    done = run(project, "dvc", "repro")
    assert stages_run(done) == [] and "up to date" in done.stdout


def fresh(project: Path, folder: Path) -> Path:
    """A folder with all that is committed of a project, in which nothing was run."""
    for name in ("params.yaml", "dvc.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(project / name, folder)
    for name in ("models", "pipelines"):
        shutil.copytree(project / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for command in (("git", "init", "-q"), ("dvc", "init", "-q"), ("dvc", "config", "core.analytics", "false")):
        assert run(folder, *command).returncode == 0
    return folder


def results(project: Path) -> dict[str, str]:
    """The digests of everything that stages made, but for what it cost."""
    folder = project / "artifacts"
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in ("cost.json", "versions.json")]
    return {str(path.relative_to(folder)): file_digest(path) for path in files}


def test_all_at_once_though_killed_ends_with_the_same_bits(project: Path, tmp_path: Path) -> None:
    other = fresh(project, tmp_path)
    kept = other / ".genera/results"
    with subprocess.Popen([PROGRAMS / "genera", "run"], cwd=other, env=shell(), stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + HANGING
        while time.monotonic() < deadline and process.poll() is None and not (kept.exists() and any(kept.iterdir())):
            time.sleep(0.05)
        assert process.poll() is None
        killed_tree(process.pid)
    done = run(other, "genera", "run")
    assert done.returncode == 0 and "Running stage" not in done.stdout  # code and prepare are done
    assert not re.search(r"Traceback|pid=", done.stdout + done.stderr)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("run: to do: ") and lines[-1].startswith("run: ")
    for name in [f"train@{entry}" for entry in TRAINED] + [f"evaluate@{entry}" for entry in ENTRIES]:
        assert sum(line.startswith(f"{name}: ") for line in lines) <= 4
    collected = run(other, "dvc", "repro")
    assert collected.returncode == 0
    stages = ["features", *(f"tune@{entry}" for entry in SEARCHED), *(f"train@{entry}" for entry in TRAINED)]
    for stage in [*stages, "distill@iaf", *(f"evaluate@{entry}" for entry in ENTRIES)]:
        assert f"{stage}: was finished; see " in collected.stdout
    assert results(other) == results(project)
    assert "samples_per_s" in read_json(other / "artifacts/evaluate/gmm/cost.json")
    assert run(other, "genera", "run").stdout == "run: nothing that takes long is out of date\n"
    assert stages_run(run(other, "dvc", "repro")) == []


def test_one_that_fails_does_not_stop_the_others(project: Path, tmp_path: Path) -> None:
    other = tmp_path / "copy"
    shutil.copytree(project, other, ignore=shutil.ignore_patterns("mlartifacts"))
    blocks = {"autoencoder": {"train": {"steps": 21}}, "maf": {"config": {"learning_rate": 1e30}}}
    change(other, {"entries": blocks})
    done = run(other, "genera", "run")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    moved, first, last = done.stderr.splitlines()
    assert moved.startswith("tracking: the project was at ")
    assert first.startswith("error: train@maf: train@maf: diverged by step ")
    assert last == "error: run: 1 failed; not run, since they depend on it: distill@iaf, evaluate@maf, evaluate@iaf"
    assert "evaluate@autoencoder: val_reconstruction_error" in done.stdout


def test_bytecode_and_touched_sources_make_nothing_run_again(project: Path) -> None:
    """In any shell Python writes bytecode, which holds its source's time, beside the sources that DVC watches."""
    for python in interpreters():
        for source in (project / "models/contract.py", project / "pipelines/cli.py"):
            os.utime(source, (time.time(), time.time()))
        assert run(project, python, "-m", "compileall", "-q", "models", "pipelines").returncode == 0
        assert list((project / "models/__pycache__").glob("contract.*.pyc"))
        assert stages_run(run(project, "dvc", "repro")) == []
    assert run(project, "dvc", "status").stdout.strip().endswith("up to date.")


def test_rewording_every_docstring_takes_not_one_training_step(project: Path) -> None:
    """The copy of the code is what runs here."""
    for path in (path for name in ("models", "pipelines") for path in (project / name).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        path.write_text(
            re.sub(r'^(\s*)"""(?=\w)', r'\1"""Said in other words: ', text, flags=re.MULTILINE) + "# more\n"
        )
    done = run(project, "dvc", "repro", PYTHONPATH=str(project))
    assert done.returncode == 0 and stages_run(done) == ["code"]


def test_a_setting_that_no_result_depends_on_makes_nothing_run_but_code(project: Path) -> None:
    change(project, {"cluster": {"storage": ".genera", "memory_limit": 100}})
    assert stages_run(run(project, "dvc", "repro")) == ["code"]


def test_one_parameter_of_maf_redoes_only_what_depends_on_it(project: Path, quick: dict[str, str]) -> None:
    change(project, {"entries": {"maf": {"config": {"weight_decay": 0.5}}}})
    done = run(project, "dvc", "repro", **quick)
    redone = ["train@maf", "distill@iaf", "evaluate@maf", "evaluate@iaf", "compare", "register"]
    assert stages_run(done) == ["code", *redone]
    versions = {entry: row["version"] for entry, row in read_json(project / "artifacts/register/versions.json").items()}
    assert versions == dict.fromkeys(ENTRIES, 1) | {"maf": 2, "iaf": 2}


def test_a_registry_that_lost_the_models_gets_them_again(project: Path, quick: dict[str, str]) -> None:
    for _ in range(2):  # what DVC keeps of the first time must not stand in for the second
        (project / "mlflow.db").unlink()
        assert (
            "mlflow.db has lost the models: they will be registered again"
            in run(project, "genera", "plan", **quick).stdout
        )
        assert stages_run(run(project, "dvc", "repro", **quick)) == ["register"]


def test_a_change_that_is_taken_back_leaves_the_page_of_what_stands_in_the_tables(
    project: Path, quick: dict[str, str]
) -> None:
    """DVC keeps the tables of earlier runs, and knows nothing of the page beside them."""
    page, before = project / "report/index.html", (project / "params.yaml").read_text()
    shown = re.compile(r"temperatures [\d., ]+")
    first = shown.findall(page.read_text())
    change(project, {"evaluate": {"temperatures": [0.6, 1.0]}})
    assert "compare" in stages_run(run(project, "dvc", "repro", **quick))
    assert "temperatures 0.6, 1" in shown.findall(page.read_text()) != first
    (project / "params.yaml").write_text(before)
    assert "compare" in stages_run(run(project, "dvc", "repro", **quick))
    assert shown.findall(page.read_text()) == first
    page.unlink()
    assert (
        "report/index.html is gone: the report will be written again" in run(project, "genera", "plan", **quick).stdout
    )
    assert stages_run(run(project, "dvc", "repro", **quick)) == ["compare"]
    assert page.exists()


IDENTITY = ("-c", "user.name=a", "-c", "user.email=a@example.org")


def test_a_fresh_clones_rebuild_leaves_git_status_clean(project: Path, tmp_path: Path, quick: dict[str, str]) -> None:
    """What is committed is what was measured: the same again, on the same machine, and no timings."""
    for command in (("add", "-A"), (*IDENTITY, "commit", "-q", "-m", "measured")):
        assert run(project, "git", *command).returncode == 0
    assert run(tmp_path, "git", "clone", "-q", project, "clone").returncode == 0
    clone = tmp_path / "clone"
    done = run(clone, "dvc", "repro", "evaluate@gmm", "evaluate@iaf", **quick)
    assert done.returncode == 0 and {"train@maf", "distill@iaf", "evaluate@iaf"} <= set(stages_run(done))
    assert run(clone, "git", "status", "--porcelain").stdout == ""


def test_an_experiment_fixes_a_searched_parameter_under_the_same_plan(project: Path, quick: dict[str, str]) -> None:
    values = ("-S", "entries.vae.search=null", "-S", "+entries.vae.config.kl_weight=0.7")
    done = run(project, "dvc", "exp", "run", *values, **quick)
    assert done.returncode == 0
    assert [name for name in stages_run(done) if name.endswith("@vae")] == ["tune@vae", "train@vae", "evaluate@vae"]
    config = read_json(project / "artifacts/train/vae/config.json")
    assert config["config"]["kl_weight"] == 0.7 and config["found"] == {}
    assert run(project, "git", "checkout", "-q", "params.yaml", "dvc.lock").returncode == 0


def complaints(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What a command says on stderr, after the line on whose code runs: that of the project was put in other words."""
    first, *rest = done.stderr.splitlines()
    assert first.startswith("genera: the code of this folder runs: ")
    return rest


def test_an_entry_without_a_plan_is_one_line(project: Path, quick: dict[str, str]) -> None:
    change(project, {"entries": {"more": {"model": "gmm"}}})
    done = run(project, "genera", "train", "more", **quick)
    assert done.returncode == 1
    assert complaints(done)[0].startswith("error: dvc.yaml: has no stage train@more: run `genera plan`")
    stale = run(project, "dvc", "repro", **quick)
    assert "error: dvc.yaml: is not the plan of params.yaml: has no stage train@more" in stale.stderr
    assert stages_run(stale) == ["code"]
    assert run(project, "git", "checkout", "-q", "params.yaml").returncode == 0


def test_a_champion_serves_from_anywhere(project: Path, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models/__init__.py").write_text("OWN = True\n")
    (tmp_path / "use.py").write_text(
        "import sys; sys.path.insert(0, '.')\n"
        "import models, mlflow, numpy as np\n"
        "model = mlflow.pyfunc.load_model('models:/digits-vae@champion')\n"
        "ask = lambda data, **params: model.predict(data, params=params)\n"
        "x = ask(None, task='sample', n=4, seed=1, labels=[3])\n"
        "z = ask(x, task='encode', labels=[3])\n"
        "np.savez('out.npz', x=x, again=ask(None, task='sample', n=4, seed=1, labels=[3]), z=z,\n"
        "         p=ask(x, task='log_prob', labels=[3]), y=ask(z, task='decode', labels=[3]))\n"
        "assert models.OWN\n"
    )
    done = run(
        tmp_path,
        sys.executable,
        "use.py",
        MLFLOW_TRACKING_URI=f"sqlite:///{project}/mlflow.db",
        MLFLOW_ALLOW_PICKLE_DESERIALIZATION="false",
    )
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "out.npz") as out:
        assert out["x"].shape == (4, 1, 8, 8) and out["x"].dtype == np.uint8
        assert np.array_equal(out["x"], out["again"])
        assert out["z"].shape == (4, 16) and out["y"].shape == (4, 1, 8, 8)
        assert out["p"].shape == (4,) and np.isfinite(out["p"]).all()


def test_a_dead_tracking_server_does_not_end_a_training(project: Path) -> None:
    dead = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    shutil.rmtree(project / ".genera/results")  # or it would only be collected
    done = run(project, "genera", "train", "gmm", **dead)
    assert done.returncode == 0
    assert [line for line in done.stderr.splitlines() if line] and done.stderr.count("warning: tracking") == 1
    assert (project / "artifacts/train/gmm/history.csv").exists()
    failed = run(project, "genera", "register", **dead)
    (line,) = complaints(failed)
    assert failed.returncode == 1 and line.startswith("error: ") and "127.0.0.1:9" in line


def test_damaged_data_and_too_many_workers_are_one_line_each(project: Path, quick: dict[str, str]) -> None:
    shutil.rmtree(project / ".genera/results", ignore_errors=True)
    change(project, {"cluster": {"workers": 4096}})
    done = run(project, "genera", "train", "gmm", **quick)
    change(project, {"cluster": {"workers": "auto"}})
    assert done.returncode == 1 and "cluster.workers: 4096" in done.stderr and len(complaints(done)) == 1
    change(project, {"defaults": {"search": {"seed": 1}}})
    away = run(project, "genera", "tune", "vae", RAY_ADDRESS="127.0.0.1:9")
    assert away.returncode == 1 and "RAY_ADDRESS" in away.stderr and len(complaints(away)) == 1
    path = project / "data/prepared/digits/train.npy"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1])
    done = run(project, "genera", "train", "gmm", **quick)
    assert done.returncode == 1 and "train.npy" in done.stderr and len(complaints(done)) == 1
