"""dvc.yaml: stages watch the parameters that there are, and the code that their results depend on."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
read = YAML(typ="safe", pure=True).load
STAGES: dict[str, dict[str, Any]] = read(ROOT / "dvc.yaml")["stages"]
FILES = ["params.yaml", *(f"profiles/{file.name}" for file in sorted((ROOT / "profiles").glob("*.yaml")))]

# What stores, fetches, records and starts things, and reads parameters: results do not depend on it.
PLUMBING = (
    *("arrays", "cluster", "data_params", "errors", "execute", "export", "files", "jobs", "param_checks"),
    *("param_errors", "param_file", "params", "prepared", "progress", "project", "publishing", "record", "rows"),
    *("section", "source_digest", "tracking"),
)
# Code that a stage imports, and of which it uses nothing that its results depend on.
UNUSED = {
    "evaluate": ("training",),  # only to know the device and hold examples
    "compare": ("training", "measurements.subject"),
    "tune": ("report.pictures",),  # of the search, in MLflow
}


def watched(raw: dict[str, Any]) -> set[str]:
    """The parameters that dvc.yaml watches where the parameters are `raw`, by their dotted paths."""
    found: set[str] = set()
    for stage in STAGES.values():
        if over := stage.get("foreach"):
            section, _, entries = over.removeprefix("${").removesuffix("}").partition(".")
            found |= {name.replace("${key}", key) for name in stage["do"]["params"] for key in raw[section][entries]}
        else:
            found |= set(stage["params"])
    return found


@pytest.mark.parametrize("file", FILES)
def test_every_parameter_that_a_stage_watches_is_there(file: str) -> None:
    raw = read(ROOT / file)
    names = watched(raw)
    assert {"data", "evaluate.inception", "train.loop"} <= names
    for name in sorted(names):
        section = raw
        for key in name.split("."):
            assert key in section, f"{file}: {name} is missing, and `dvc repro` stops at a stage that watches it"
            section = section[key]


def file_of(module: str) -> Path | None:
    """The file of a module of ours."""
    path = ROOT / module.replace(".", "/")
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def imported(file: Path) -> Iterator[Path]:
    """The files of `pipelines` that a file imports, inside functions too."""
    package = file.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            name = ".".join([*base, *filter(None, [node.module])])
            if name.startswith("pipelines"):
                found = (file_of(f"{name}.{each.name}") or file_of(name) for each in node.names)
                yield from (each for each in found if each)


def behind(file: Path) -> set[str]:
    """The modules of `pipelines` behind a file, without the name of the package."""
    seen: set[Path] = set()
    ahead = [file]
    while ahead:
        if (next_ := ahead.pop()) not in seen:
            seen.add(next_)
            ahead += imported(next_)
    paths = (each.relative_to(ROOT / "pipelines").with_suffix("") for each in seen)
    return {".".join(path.parts).removesuffix(".__init__") for path in paths}


def covered(module: str, by: set[str]) -> bool:
    return any(module == each or module.startswith(f"{each}.") for each in by)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_watches_the_code_behind_its_results(stage: str) -> None:
    deps = (STAGES[stage].get("do") or STAGES[stage])["deps"]
    ours = {dep.removeprefix("pipelines/").removesuffix(".py").replace("/", ".") for dep in deps if "pipelines/" in dep}
    modules = behind(ROOT / "pipelines" / f"{stage}.py")
    unused = {*PLUMBING, *UNUSED.get(stage, ())}
    assert {each for each in modules if not covered(each, ours | unused)} == set(), "code that is not watched"
    idle = {each for each in ours if not any(covered(module, {each}) for module in modules)}
    assert idle <= {"report.templates"}, "what is watched without need makes stages run again for nothing"
    assert all((ROOT / dep).exists() for dep in deps if dep.startswith(("pipelines/", "models/")))
