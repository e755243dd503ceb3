"""The record of a stage: its run in MLflow, with the settings that it ran with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from typing import Any

from ..data.prepared import Prepared
from ..params.entry import Entry
from ..params.project import Project
from ..params.section import Section
from ..storage import Folder
from .stage_run import StageRun, add_metrics, new_key, stage_run

FILE = "run.json"


@contextmanager
def tracked(
    project: Project, stage: str, entry: Entry | None, settings: Mapping[str, Any], state: Folder | None = None
) -> Iterator[StageRun]:
    """The run of a stage, with its settings as parameters and its data set.

    `state` is the folder of what outlives the process: whoever goes on with that goes on with the same run.
    """
    params, data = {key: _plain(value) for key, value in settings.items()}, Prepared.open(project.prepared)
    key, again = (new_key(), False) if state is None else _key(state / "tracking")
    with stage_run(
        project.root,
        project.params.name,
        stage,
        None if entry is None else entry.name,
        {"data_digest": data.digest},
        params,
        described(data),
        key,
        again,
    ) as run:
        yield run


def described(data: Prepared) -> dict[str, str]:
    """The data set as MLflow shows it: name, digest, where it came from, what an example is, and how many there are."""
    meta = data.meta
    number = "float32" if meta["levels"] is None else "uint8"
    spec = {"type": "tensor", "tensor-spec": {"dtype": number, "shape": [-1, *meta["shape"]]}}
    return {
        "name": data.folder.name,
        "digest": data.digest,
        "source": str(meta.get("source", data.folder.name)),
        "schema": json.dumps({"mlflow_tensorspec": {"features": json.dumps([spec]), "targets": None}}),
        "profile": json.dumps({f"{split}_examples": count for split, count in meta.get("counts", {}).items()}),
    }


def _key(state: Folder) -> tuple[str, bool]:
    """The key of the run that belongs to a state, and whether there was one before."""
    known = state.read(FILE)
    if known is not None:
        return str(json.loads(known)["run"]), True
    key = new_key()
    state.write(FILE, (json.dumps({"run": key}) + "\n").encode())
    return key, False


def add_to_run(project: Project, stage: str, entry: Entry, key: str | None, metrics: Mapping[str, Any]) -> None:
    """Add metrics to a run that has ended, if there was one."""
    if key is not None:
        add_metrics(project.root, project.params.name, stage, entry.name, key, metrics)


def _plain(value: Any) -> Any:
    """Sections and configurations as mappings."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, Section):
        return value.model_dump(mode="json")
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
