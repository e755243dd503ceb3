"""dvc.yaml is the plan of params.yaml: every stage waits for what it reads, and a stale plan is refused."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipelines.errors import UserError
from pipelines.files import read_json
from pipelines.params.plan import complain_of_stale_plan, complain_of_unplanned, plan_text, planned, write_plan
from pipelines.params.reading import load, parse
from pipelines.params.schema import Params
from pipelines.stages import code

ROOT = Path(__file__).parents[3]


def params_of(**blocks: Any) -> Params:
    return parse({"entries": blocks})


SEARCHED = {"model": "vae", "search": {"kl_weight": {"low": 0.5, "high": 2.0}}}


@pytest.fixture
def planned_project(tmp_path: Path) -> Path:
    """A project with a plan of an entry that is searched, one that is judged by samples, a teacher and a student."""
    student = {"model": "iaf", "distill": {"teacher": "maf", "batch_size": 8}}
    params = params_of(vae=SEARCHED, gan={"model": "gan"}, maf={"model": "maf"}, iaf=student)
    assert write_plan(tmp_path, params)
    return tmp_path


def test_the_committed_plan_is_current() -> None:
    assert (ROOT / "dvc.yaml").read_text(encoding="utf-8") == plan_text(load(ROOT / "params.yaml"))


def test_a_plan_that_is_current_is_not_written_again(planned_project: Path) -> None:
    student = {"model": "iaf", "distill": {"teacher": "maf", "batch_size": 8}}
    params = params_of(vae=SEARCHED, gan={"model": "gan"}, maf={"model": "maf"}, iaf=student)
    assert not write_plan(planned_project, params)


def test_a_new_plan_forgets_the_locks_of_stages_that_are_gone(planned_project: Path) -> None:
    blocks = {name: f"  {name}:\n    cmd: genera {name}\n    outs:\n    - path: x\n" for name in ("code", "train@gan")}
    lock = planned_project / "dvc.lock"
    lock.write_text("schema: '2.0'\nstages:\n" + "".join(blocks.values()))
    assert write_plan(planned_project, params_of(vae=SEARCHED))
    assert lock.read_text() == "schema: '2.0'\nstages:\n" + blocks["code"]


def test_stages_wait_for_what_they_read(planned_project: Path) -> None:
    stages = planned(planned_project)
    assert list(stages) == [
        *("code", "prepare", "features", "tune@vae", "train@vae", "train@gan", "train@maf", "distill@iaf"),
        *(f"evaluate@{entry}" for entry in ("vae", "gan", "maf", "iaf")),
        *("compare", "register"),
    ]
    for name, deps in stages.items():
        stage, _, entry = name.partition("@")
        own = f"artifacts/code/{stage}/{entry}.json" if entry else f"artifacts/code/{stage}.json"
        assert (own in deps) == (name != "code")
    assert "artifacts/tune/vae/best.json" in stages["train@vae"]
    assert "artifacts/features/model.safetensors" in stages["train@gan"]
    assert "artifacts/features/model.safetensors" not in stages["train@maf"], "a likelihood is not judged in features"
    assert {"artifacts/train/maf", "artifacts/features/model.safetensors"} <= stages["distill@iaf"]
    assert "artifacts/distill/iaf" in stages["evaluate@iaf"]
    for entry in ("vae", "gan", "maf", "iaf"):
        assert (
            f"artifacts/evaluate/{entry}" in stages["compare"] and f"artifacts/evaluate/{entry}" in stages["register"]
        )
    assert not any("cost.json" in dep for deps in stages.values() for dep in deps)


def test_files_that_parameters_name_are_watched(tmp_path: Path) -> None:
    table = {"source": "csv", "path": "rows.csv", "test_path": "test.csv"}
    raw = {"data": table, "entries": {"maf": {"model": "maf"}}, "evaluate": {"foreign": "other.npy"}}
    write_plan(tmp_path, parse(raw))
    stages = planned(tmp_path)
    assert {"rows.csv", "test.csv"} <= stages["prepare"] and "other.npy" in stages["evaluate@maf"]


def test_files_that_are_not_there_are_a_line_each(tmp_path: Path) -> None:
    table = {"source": "csv", "path": "rows.csv", "test_path": "test.csv"}
    params = parse({"data": table, "entries": {"maf": {"model": "maf"}}, "evaluate": {"foreign": "other.npy"}})
    write_plan(tmp_path, params)
    (tmp_path / "test.csv").touch()
    with pytest.raises(UserError) as caught:
        code.run(tmp_path, params)
    says = "does not exist; put the data there, or correct the path"
    assert str(caught.value).splitlines() == [
        f"params.yaml: data.path: rows.csv: {says}",
        f"params.yaml: evaluate.foreign: other.npy: {says}",
    ]


def test_a_table_of_labels_is_watched_and_named_if_it_is_not_there(tmp_path: Path) -> None:
    labels = {"file": "labels.csv", "path": "file", "label": "kind"}
    images = {"source": "images", "path": "img", "test_count": 0.1, "labels": labels}
    params = parse({"data": images, "entries": {"gmm": {"model": "gmm"}}})
    write_plan(tmp_path, params)
    assert {"img", "labels.csv"} <= planned(tmp_path)["prepare"]
    (tmp_path / "img").mkdir()
    with pytest.raises(
        UserError, match=r"^params\.yaml: data\.labels\.file: labels\.csv: does not exist; put the data"
    ):
        code.run(tmp_path, params)


def test_dvc_reads_the_plan(planned_project: Path) -> None:
    """Its names are those that DVC gives, and it complains of nothing."""
    program = Path(sys.executable).with_name("dvc")
    (planned_project / "params.yaml").write_text("entries: {vae: {model: vae}}\n")
    for command in (["git", "init", "-q"], [program, "init", "-q"]):
        subprocess.run(command, cwd=planned_project, check=True)
    done = subprocess.run(
        [program, "stage", "list", "--name-only"], cwd=planned_project, capture_output=True, text=True, check=True
    )
    assert sorted(done.stdout.split()) == sorted(planned(planned_project))


# Is it current?


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ({"made": {"model": "made"}}, r"has no stage train@made \(and \d+ more of this kind\)"),
        ({"gan": None}, r"has a stage train@gan, and there is no such entry"),
        ({"maf": {"model": "maf", "search": {"blocks": {"low": 2, "high": 4}}}}, "has no stage tune@maf"),
        (
            {"iaf": {"model": "iaf", "distill": {"teacher": "other", "batch_size": 8}}, "other": {"model": "maf"}},
            "other",
        ),
    ],
    ids=["new", "gone", "searched", "other teacher"],
)
def test_a_stale_plan_is_one_line(planned_project: Path, blocks: dict[str, Any], message: str) -> None:
    student = {"model": "iaf", "distill": {"teacher": "maf", "batch_size": 8}}
    known = {"vae": SEARCHED, "gan": {"model": "gan"}, "maf": {"model": "maf"}, "iaf": student, **blocks}
    params = params_of(**{name: block for name, block in known.items() if block is not None})
    with pytest.raises(UserError, match=message) as caught:
        complain_of_stale_plan(planned_project, params)
    assert re.fullmatch(r"dvc\.yaml: is not the plan of params\.yaml: .*; run `genera plan`", str(caught.value))


@pytest.mark.parametrize(
    "vae",
    [{**SEARCHED, "config": {"latent": 4}}, {**SEARCHED, "search": None}, {**SEARCHED, "train": {"steps": 3}}],
    ids=["value", "no search", "settings"],
)
def test_experiments_go_on_under_the_plan(planned_project: Path, vae: dict[str, Any]) -> None:
    student = {"model": "iaf", "distill": {"teacher": "maf", "batch_size": 8}}
    params = params_of(vae=vae, gan={"model": "gan"}, maf={"model": "maf"}, iaf=student)
    complain_of_stale_plan(planned_project, params)


def test_an_unplanned_entry_is_one_line(planned_project: Path) -> None:
    complain_of_unplanned(planned_project, "train", "maf", in_features=False)
    complain_of_unplanned(planned_project, "train", "gan", in_features=True)
    with pytest.raises(UserError, match=r"^dvc\.yaml: has no stage train@made: run `genera plan`"):
        complain_of_unplanned(planned_project, "train", "made", in_features=False)
    with pytest.raises(
        UserError, match=r"^dvc\.yaml: train@maf does not wait for artifacts/features/model\.safetensors"
    ):
        complain_of_unplanned(planned_project, "train", "maf", in_features=True)


@pytest.mark.parametrize("text", ["stages: {a: }", "stages: {a: {foreach: [b], do: {deps: []}}}"])
def test_a_plan_that_was_damaged_by_hand_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "dvc.yaml").write_text(text)
    with pytest.raises(UserError, match=r"^dvc\.yaml: is damaged: run `genera plan`"):
        planned(tmp_path)


@pytest.mark.parametrize("text", ["", "[1]", "stages: 3"])
def test_what_is_no_plan_is_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match="there is no such file: run `genera plan`"):
        planned(tmp_path)
    (tmp_path / "dvc.yaml").write_text(text)
    with pytest.raises(UserError, match=r"^dvc\.yaml: has no stages: run `genera plan`"):
        planned(tmp_path)


# The stage `code`


def test_every_stage_has_a_file_of_what_it_depends_on(planned_project: Path) -> None:
    student = {"model": "iaf", "distill": {"teacher": "maf", "batch_size": 8}}
    params = params_of(vae=SEARCHED, gan={"model": "gan"}, maf={"model": "maf"}, iaf=student)
    code.run(planned_project, params)
    wanted = {dep for deps in planned(planned_project).values() for dep in deps if dep.startswith("artifacts/code/")}
    folder = planned_project / "artifacts/code"
    assert {path.relative_to(planned_project).as_posix() for path in folder.rglob("*.json")} == wanted
    assert read_json(folder / "train/vae.json")["settings"]["searched"] == ["kl_weight"]


def changed_settings(before: Params, after: Params) -> list[str]:
    """The stages whose settings differ."""
    first, second = ({name: settings for name, settings, _ in code.meanings(params)} for params in (before, after))
    return [name for name in second if json.dumps(first.get(name)) != json.dumps(second[name])]


@pytest.mark.parametrize(
    ("path", "value", "stages"),
    [
        ("entries.maf.config.weight_decay", 0.5, ["train/maf", "compare"]),
        ("entries.vae.config.latent", 8, ["train/vae", "tune/vae", "compare"]),
        ("entries.vae.search.kl_weight.low", 0.3, ["tune/vae"]),
        ("entries.gan.search", None, ["train/gan", "compare", "register"]),
        ("entries.iaf.distill.steps", 3, ["distill/iaf", "compare"]),
        ("cluster.workers", 2, []),
        ("cluster.storage", "elsewhere", []),
        ("register.min_improvement", 0.1, ["register"]),
        ("project", "mine", ["register"]),
        ("evaluate.classifier.steps", 3, ["features"]),
        ("data.seed", 1, ["prepare"]),
        ("defaults.search.trials", 9, ["tune/vae", "tune/gan"]),
    ],
)
def test_a_changed_setting_makes_just_those_stale_that_it_matters_to(path: str, value: Any, stages: list[str]) -> None:
    raw = YAML(typ="safe", pure=True).load(ROOT / "params.yaml")
    *parents, key = path.split(".")
    section = raw
    for parent in parents:
        section = section[parent]
    section[key] = value
    assert changed_settings(load(ROOT / "params.yaml"), parse(raw)) == stages


def test_a_default_that_is_written_out_changes_nothing() -> None:
    raw = YAML(typ="safe", pure=True).load(ROOT / "params.yaml")
    raw["entries"]["maf"]["train"]["patience"] = None
    raw["data"]["palette"] = None
    assert changed_settings(load(ROOT / "params.yaml"), parse(raw)) == []


# What DVC shows


def test_curves_say_whose_they_are_and_lie_side_by_side_where_they_are_of_one_kind() -> None:
    student = {"model": "iaf", "distill": {"teacher": "maf", "batch_size": 8}}
    blocks = {name: {"model": name} for name in ("gmm", "maf", "autoencoder", "gan", "progressive_gan")}
    text = plan_text(params_of(**blocks, iaf=student))
    written = YAML(typ="safe", pure=True).load(text)
    sides = {title: definition for each in written["plots"] for title, definition in each.items()}
    assert {title: list(each["y"]) for title, each in sides.items()} == {
        "validation NLL of all entries (lower is better)": [
            "artifacts/train/gmm/history.csv",
            "artifacts/train/maf/history.csv",
        ],
        "validation FID of samples of all entries (lower is better)": [
            "artifacts/train/gan/history.csv",
            "artifacts/train/progressive_gan/history.csv",
        ],
    }
    (curve,) = written["stages"]["train"]["do"]["plots"][0].values()
    assert curve["title"] == "${key}: validation objective (lower is better)"


def test_headlines_are_all_that_is_declared_as_metrics() -> None:
    written = YAML(typ="safe", pure=True).load(ROOT / "dvc.yaml")["stages"]
    bodies = {name: stage.get("do", stage) for name, stage in written.items()}
    declared = {name: body["metrics"] for name, body in bodies.items() if "metrics" in body}
    assert declared == {"evaluate": [{"artifacts/evaluate/${key}/headline.json": {"cache": False}}]}
    outs = [each for body in bodies.values() for each in body["outs"]]
    for stage in ("train", "distill", "evaluate"):
        assert {f"artifacts/{stage}/${{key}}/metrics.json": {"cache": False}} in outs, (
            "git has them, and DVC knows them"
        )


def test_entries_of_different_kinds_do_not_lie_side_by_side() -> None:
    assert "\nplots:" not in plan_text(params_of(gmm={"model": "gmm"}, gan={"model": "gan"}))
