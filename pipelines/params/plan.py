"""dvc.yaml: the plan of the workflow, written from params.yaml by `genera plan`, like a lock file.

A stage for each step and entry:

    code → prepare → features → tune@<entry> → train@<entry> → distill@<entry> → evaluate@<entry> → compare → register

Each depends on what it reads, and on one small file of the stage `code`, which says what its settings and its code
mean. So the plan changes where entries come and go or are searched, and hardly elsewhere: values may change under it.
"""

from __future__ import annotations

import io
import os
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from ..errors import UserError
from ..files import write_text
from .schema import Params
from .yaml_file import content

FILE = "dvc.yaml"
HEAD = "# Written by `genera plan` from params.yaml, as a lock file is: `make repro` does so first. Do not edit it.\n"
CODE = "artifacts/code"
SUMMARY = "artifacts/prepare/summary.json"
SECTION = "artifacts/prepare/section.json"
FEATURES = "artifacts/features/model.safetensors"
DATA = "data/prepared"
NUMBERS, PAGE = "report/numbers.csv", "report/index.html"
REGISTERED = "artifacts/register/registered.json"
READ = ("params.yaml", FILE, SUMMARY, SECTION)  # by what a plan is written and checked
HEADLINE = "headline.json"  # the few measurements of an entry that `dvc metrics` and `dvc exp show` show
SHOWN = (
    *("completions.npz", "latents.npz", "neighbours.npz", "paired.npz", "samples.npy", "scorecard.json"),
    "temperatures.npy",
)
KEY, ITEM = "${key}", "${item}"  # DVC's names for an entry of a foreach, and for its value
LOWER = "(lower is better)"
BY_SAMPLES = "FID of samples"  # of what a training is validated by


def stage_name(stage: str, entry: str | None) -> str:
    """What the plan calls a stage, of an entry where it has entries."""
    return f"{stage}@{entry}" if entry else stage


def best(entry: str) -> str:
    """The file with the best parameters that the search of an entry found."""
    return f"artifacts/tune/{entry}/best.json"


def write_plan(root: Path, params: Params) -> bool:
    """Write dvc.yaml, unless it is the plan of these parameters already; dvc.lock forgets stages that it has not.

    Was it written?
    """
    text, path = plan_text(params), root / FILE
    current = path.is_file() and path.read_text(encoding="utf-8") == text
    if not current:
        write_text(path, text)
    _forget_stages(root / "dvc.lock", set(planned(root)))
    return not current


def _forget_stages(lock: Path, known: set[str]) -> None:
    """Leave only the known stages in dvc.lock, in which each is a block that begins with its name, two spaces deep."""
    if not lock.is_file():
        return
    blocks = re.split(r"^(?=  [^\s:]+:$)", lock.read_text(encoding="utf-8"), flags=re.MULTILINE)
    kept = [block for block in blocks if not block.startswith("  ") or block.partition(":")[0].strip() in known]
    if len(kept) < len(blocks):
        write_text(lock, "".join(kept))


def plan_text(params: Params) -> str:
    """The plan as YAML."""
    objectives = {name: _objective(params, name) for name in params.entries}
    judged = {name for name, objective in objectives.items() if objective == BY_SAMPLES}
    yaml, text = YAML(), io.StringIO()
    yaml.width = 120
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.dump({"stages": plan(params, judged), **_side_by_side(params, objectives)}, text)
    lines = text.getvalue().splitlines()
    spaced = [f"\n{line}" if re.match(r"  [^ -]|plots:", line) else line for line in lines]
    return HEAD + "\n".join(spaced) + "\n"


def _objective(params: Params, name: str) -> str:
    """What the training of an entry is validated by, in words that do for all kinds of data."""
    from models.contract import Density, Reconstruction  # imports PyTorch, which the stage `code` does without

    from .entry import entry_of

    family = entry_of(params, name).family
    if params.entries[name].distill:
        return "divergence from the teacher"
    if issubclass(family, Density):
        return "NLL"
    return "reconstruction error" if issubclass(family, Reconstruction) else BY_SAMPLES


def _side_by_side(params: Params, objectives: Mapping[str, str]) -> dict[str, Any]:
    """A plot for each objective with the curves of all entries that are validated by it, where there are several."""
    plots = []
    for objective in dict.fromkeys(objectives.values()):
        of = [name for name in params.entries if objectives[name] == objective]
        curves = {f"artifacts/{params.entries[name].stage}/{name}/history.csv": "objective" for name in of}
        title = f"validation {objective} of all entries {LOWER}"
        if len(of) > 1:
            plots.append({title: {"x": "step", "y": curves, "title": title, "y_label": f"validation {objective}"}})
    return {"plots": plots} if plots else {}


def plan(params: Params, judged: set[str]) -> dict[str, Any]:
    """The stages of the workflow; `judged` are the entries that are validated by their samples, in features."""
    blocks = params.entries
    first = {name: FEATURES if name in judged else SUMMARY for name in blocks}
    made = {name: f"artifacts/{block.stage}/{name}" for name, block in blocks.items()}
    searched = [name for name, block in blocks.items() if block.space]
    trained = {name: best(name) if name in searched else first[name] for name in blocks if not blocks[name].distill}
    students = {name: made.get(block.distill.teacher, "") for name, block in blocks.items() if block.distill}
    inception, foreign = ([path] if path else [] for path in (params.evaluate.inception, params.evaluate.foreign))
    return {
        "code": {
            "desc": "Say in a small file for each stage and entry what its settings and its code mean.",
            "cmd": "genera code",
            "deps": ["models", "pipelines"],
            "params": [{"params.yaml": None}],
            "outs": [CODE],
        },
        "prepare": {
            "desc": "Read the data source, split it, write the one format that all families read, and a page about it.",
            "cmd": "genera prepare",
            "deps": [f"{CODE}/prepare.json", *params.data.read_paths],
            "outs": [DATA, "report/data.html", {SUMMARY: {"cache": False}}],
        },
        "features": {
            "desc": "Make the features in which samples are measured, by a classifier or of principal components.",
            "cmd": "genera features",
            "deps": [f"{CODE}/features.json", DATA, SUMMARY],
            **_training("artifacts/features", "features"),
        },
        **_each(
            "tune",
            {name: first[name] for name in searched},
            "Search the parameters of an entry.",
            deps=[DATA, ITEM],
            outs=[f"artifacts/tune/{KEY}"],
        ),
        **_each(
            "train",
            trained,
            "Train an entry on the data, with the parameters that its search found.",
            deps=[DATA, ITEM],
            **_training(f"artifacts/train/{KEY}", KEY),
        ),
        **_each(
            "distill",
            students,
            "Teach a student the density of its teacher, and compare the two.",
            deps=[FEATURES, DATA, ITEM, *inception],
            **_training(f"artifacts/distill/{KEY}", KEY),
        ),
        **_each(
            "evaluate",
            made,
            "Measure a finished entry.",
            deps=[FEATURES, DATA, ITEM, *inception, *foreign],
            outs=[
                *(f"artifacts/evaluate/{KEY}/{name}" for name in SHOWN),
                {f"artifacts/evaluate/{KEY}/metrics.json": {"cache": False}},
            ],
            metrics=[{f"artifacts/evaluate/{KEY}/{HEADLINE}": {"cache": False}}],
        ),
        "compare": {
            "desc": "Put everything that was measured on one page.",
            "cmd": "genera compare",
            "deps": [
                f"{CODE}/compare.json",
                FEATURES,
                DATA,
                *made.values(),
                *(f"artifacts/evaluate/{name}" for name in made),
                *(f"artifacts/tune/{name}" for name in searched),
            ],
            # Beside them stand pages with timings, which DVC does not know: so it must not restore these two alone.
            "outs": [{NUMBERS: {"persist": True}}, {"report/seeds.csv": {"persist": True}}],
        },
        "register": {
            "desc": "Bring the finished models into the MLflow registry.",
            "cmd": "genera register",
            "deps": [f"{CODE}/register.json", *made.values(), *(f"artifacts/evaluate/{name}" for name in made)],
            # What DVC keeps of earlier runs says nothing about the registry: with this it takes nothing from there.
            "outs": [{REGISTERED: {"persist": True}}],
        },
    }


def _training(folder: str, name: str) -> dict[str, Any]:
    """What a stage that trains leaves in a folder; `name` says whose curve it is."""
    outs = [f"{folder}/config.json", f"{folder}/model.safetensors"]
    curve = {"x": "step", "y": "objective", "title": f"{name}: validation objective {LOWER}"}
    return {
        "outs": [*outs, {f"{folder}/metrics.json": {"cache": False}}],
        "plots": [{f"{folder}/history.csv": curve}],
    }


def _each(stage: str, entries: Mapping[str, str], desc: str, deps: list[str], **made: Any) -> dict[str, Any]:
    """A stage for each of the entries, if there are any; the value of each is what it waits for."""
    if not entries:
        return {}
    body = {"desc": desc, "cmd": f"genera {stage} {KEY}", "deps": [f"{CODE}/{stage}/{KEY}.json", *deps], **made}
    return {stage: {"foreach": dict(entries), "do": body}}


def forget_what_was_lost(root: Path) -> Iterator[str]:
    """Make stages run again that wrote what DVC does not know, if that is gone; a sentence says which.

    The registry is no output of a stage, since what is in it depends on all that was ever registered there. The page of
    the report is none since there are timings on it.
    """
    if (root / NUMBERS).exists() and not (root / PAGE).exists():
        (root / NUMBERS).unlink()
        yield f"{PAGE} is gone: the report will be written again"
    if (
        not os.environ.get("MLFLOW_TRACKING_URI")
        and (root / REGISTERED).exists()
        and not _has_models(root / "mlflow.db")
    ):
        (root / REGISTERED).unlink()
        yield "mlflow.db has lost the models: they will be registered again"


def _has_models(database: Path) -> bool:
    """Are there registered models in the database of the project?"""
    if not database.exists():
        return False
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        try:
            return connection.execute("SELECT 1 FROM registered_models LIMIT 1").fetchone() is not None
        except sqlite3.Error:
            return False


# Is the plan current?


def complain_of_stale_plan(root: Path, params: Params) -> None:
    """Raise `UserError` unless dvc.yaml has every stage that the parameters need, with all that it must wait for.

    More stages than are needed do no harm: an experiment that fixes a searched parameter goes on under its plan.
    """
    there, needed = planned(root), _dependencies(plan(params, judged=set()))
    missing = [name for name in needed if name not in there]
    gone = [name for name in there if name not in needed and name.partition("@")[2] not in ("", *params.entries)]
    waiting = {name: deps - there[name] - {SUMMARY} for name, deps in needed.items() if name in there}
    problems = [
        *(f"has no stage {name}" for name in missing),
        *(f"has a stage {name}, and there is no such entry" for name in gone),
        *(f"{name} does not wait for {', '.join(sorted(deps))}" for name, deps in waiting.items() if deps),
    ]
    if problems:
        more = f" (and {len(problems) - 1} more of this kind)" if len(problems) > 1 else ""
        raise UserError(f"{FILE}: is not the plan of params.yaml: {problems[0]}{more}; run `genera plan`")


def complain_of_unplanned(root: Path, stage: str, name: str, in_features: bool) -> None:
    """Raise `UserError` where dvc.yaml has no such stage, or one that does not wait for features that it needs."""
    deps = planned(root).get(f"{stage}@{name}")
    if deps is None:
        raise UserError(f"{FILE}: has no stage {stage}@{name}: run `genera plan`, which writes it from params.yaml")
    if in_features and stage in ("tune", "train") and not deps & {FEATURES, best(name)}:
        raise UserError(f"{FILE}: {stage}@{name} does not wait for {FEATURES}: run `genera plan`")


def planned(root: Path) -> dict[str, set[str]]:
    """The stages of dvc.yaml by their names, each with what it depends on."""
    path = root / FILE
    if not path.is_file():
        raise UserError(f"{path}: there is no such file: run `genera plan`, which writes it from params.yaml")
    found = content(path)
    if not isinstance(found, Mapping) or not isinstance(found.get("stages"), Mapping):
        raise UserError(f"{FILE}: has no stages: run `genera plan`, which writes them from params.yaml")
    try:
        return _dependencies(found["stages"])
    except (AttributeError, KeyError, TypeError):
        raise UserError(f"{FILE}: is damaged: run `genera plan`, which writes it from params.yaml") from None


def _dependencies(stages: Mapping[str, Any]) -> dict[str, set[str]]:
    return {name: set(map(str, deps)) for name, deps in _unfolded(stages)}


def _unfolded(stages: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Each stage with its dependencies, those of a foreach one by one."""
    for name, stage in stages.items():
        if "foreach" not in stage:
            yield name, stage.get("deps", [])
            continue
        for key, item in stage["foreach"].items():
            yield f"{name}@{key}", [str(dep).replace(KEY, key).replace(ITEM, str(item)) for dep in stage["do"]["deps"]]
