"""Stage `code`: what the settings and the code of each stage and entry mean, in a small file each.

The other stages depend on their file alone, and not on folders of code or on sections of params.yaml: a reworded
comment runs this stage, which takes a moment, and nothing else. Nothing here imports PyTorch.
"""

from __future__ import annotations

import shutil
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

from models.catalogue import module_of

from ..errors import UserError
from ..experiment import home_of, is_copy
from ..files import write_json
from ..identity import code_digest
from ..params.file_options import LabelTable
from ..params.file_sections import Files
from ..params.messages import FILE
from ..params.plan import CODE, complain_of_stale_plan, planned
from ..params.schema import Block, Params

READS = (  # elsewhere plumbing, and what `prepare` is about
    *(
        f"params.{name}"
        for name in ("data_section", "file_options", "file_sections", "source_section", "table_sections")
    ),
    *("data.prepared", "data.rows"),
)
COMPARED = {"inception", "references", "samples", "scored", "seed", "speed_batch", "speed_runs"}  # with the teacher
SEARCHED = {"steps", "patience", "validate_every", "checkpoint_every", "seed"}  # are those of the search in a trial
Meaning = tuple[str, dict[str, Any], tuple[str, ...]]  # its stage, settings, the modules that its code begins with


def run(root: Path, params: Params) -> None:
    """Write artifacts/code/<stage>.json and artifacts/code/<stage>/<entry>.json."""
    complain_of_stale_plan(root, params)
    _complain_of_missing_files(root, params)
    folder = root / CODE
    shutil.rmtree(folder, ignore_errors=True)
    for name, settings, roots in meanings(params, planned(root)):
        write_json(folder / f"{name}.json", {"code": code_digest(*roots), "settings": settings})


def _complain_of_missing_files(root: Path, params: Params) -> None:
    """Raise `UserError` for files that params.yaml names and that are not there. DVC would say what, and not why."""
    named = {f"data.{key}": path for key, path in params.data if path in params.data.read_paths}
    if isinstance(params.data, Files) and isinstance(params.data.labels, LabelTable):
        named["data.labels.file"] = params.data.labels.file
    named |= {f"evaluate.{key}": getattr(params.evaluate, key) for key in ("inception", "foreign")}
    missing = {key: path for key, path in named.items() if path and not (root / path).exists()}
    if missing:
        raise UserError("\n".join(f"{FILE}: {key}: {path}: {_lack(root, path)}" for key, path in missing.items()))


def _lack(root: Path, path: str) -> str:
    """What is wrong where a file is not there. DVC copies to experiments what git or DVC knows."""
    if is_copy(root) and (home_of(root) / path).exists():
        return (
            "is not in the copy of the project that DVC made for this experiment, since neither git nor DVC knows it:"
            f" `dvc add {path}`, or --copy-paths {path}, or run the experiment in the workspace"
        )
    if (root / f"{path}.dvc").exists():
        return "is under DVC, and not here: `dvc pull` brings it"
    return "does not exist; put the data there, or correct the path"


def meanings(params: Params, stages: Container[str] = ()) -> Iterator[Meaning]:
    """What each stage and entry depends on; of `stages` that are planned, also a search that now searches nothing."""
    evaluate = params.evaluate.model_dump(mode="json", exclude={"classifier"})
    reader = f"pipelines.data.sources.{params.data.reader}"
    data = ("pipelines.stages.prepare", reader, *(f"pipelines.{name}" for name in READS))
    yield "prepare", {"data": params.data.model_dump(mode="json")}, data
    yield "features", {"classifier": params.classifier.model_dump(mode="json")}, ("pipelines.stages.features",)
    for name, block in params.entries.items():
        yield from _of_entry(params, name, block, evaluate, f"tune@{name}" in stages)
    whole = {"entries": {name: _role(block) for name, block in params.entries.items()}}
    loops = {name: params.loop_of(name).model_dump(mode="json") for name in params.entries}
    repeated = {name: [block.config, loops[name]] for name, block in params.entries.items()}
    shown = {key: evaluate[key] for key in ("inception", "references", "samples", "temperatures")}
    yield "compare", {**whole, "repeated": repeated, "evaluate": shown}, ("pipelines.stages.compare",)
    settings = {"project": params.name, **whole, "register": params.register_.model_dump(mode="json")}
    yield "register", settings, ("pipelines.stages.register",)


def _of_entry(params: Params, name: str, block: Block, evaluate: dict[str, Any], tuned: bool) -> Iterator[Meaning]:
    family = f"models.{module_of(block.model)}"
    loop = params.loop_of(name).model_dump(mode="json")
    settings = {"model": block.model, "config": block.config, "loop": loop}
    space = {key: dimension.model_dump(mode="json") for key, dimension in block.space.items()}
    if block.distill is not None:
        teacher = f"models.{module_of(params.entries[block.distill.teacher].model)}"
        compared = {key: evaluate[key] for key in sorted(COMPARED)}
        yield f"distill/{name}", {**settings, "evaluate": compared}, ("pipelines.stages.distill", family, teacher)
    else:
        yield f"train/{name}", {**settings, "searched": sorted(space)}, ("pipelines.stages.train", family)
    if space or tuned:
        trial = {key: value for key, value in loop.items() if key not in SEARCHED}
        search = {"loop": trial, "space": space, "search": params.defaults.search.model_dump(mode="json")}
        yield f"tune/{name}", {**settings, **search}, ("pipelines.stages.tune", family)
    yield f"evaluate/{name}", {"evaluate": evaluate}, ("pipelines.stages.evaluate", family)


def _role(block: Block) -> dict[str, Any]:
    """What the stages that look at all entries know of one."""
    return {
        "model": block.model,
        "stage": block.stage,
        "teacher": None if block.distill is None else block.distill.teacher,
        "searched": sorted(block.space),
    }
