"""The record of a stage: its run in MLflow, with the settings that it ran with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from typing import Any

from ..data.prepared import Prepared
from ..params.entry import Entry
from ..params.project import Project
from ..params.section import Section
from .stage_run import StageRun, stage_run


@contextmanager
def tracked(project: Project, stage: str, entry: Entry | None, settings: Mapping[str, Any]) -> Iterator[StageRun]:
    """The tracking run of a stage, with its settings as parameters and the digest of the data as a tag."""
    params = {key: _plain(value) for key, value in settings.items()}
    tags = {"data_digest": Prepared.open(project.prepared).digest}
    with stage_run(
        project.root, project.params.name, stage, None if entry is None else entry.name, tags, params
    ) as run:
        yield run


def add_to_run(project: Project, stage: str, entry: Entry, run_id: str | None, metrics: Mapping[str, Any]) -> None:
    """Add metrics to a run that has ended, if there was one."""
    if run_id is not None:
        StageRun(project.root, project.params.name, stage, entry.name, run_id).log_metrics(metrics)


def _plain(value: Any) -> Any:
    """Sections and configurations as mappings."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, Section):
        return value.model_dump(mode="json")
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
