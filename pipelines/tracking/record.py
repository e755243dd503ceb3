"""The record of a stage: its run in MLflow, with the settings that it ran with."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from typing import Any

from ..data.prepared import Prepared
from ..params.project import Project
from ..params.section import Section
from .run import StageRun, stage_run


@contextmanager
def tracked(project: Project, stage: str, entry: str | None, settings: Mapping[str, Any]) -> Iterator[StageRun]:
    """The tracking run of a stage, with its settings as parameters and the digest of the data as a tag."""
    params = {key: _plain(value) for key, value in settings.items()}
    tags = {"data_digest": Prepared.open(project.prepared).digest}
    with stage_run(project.root, stage, entry, tags, params) as run:
        yield run


def _plain(value: Any) -> Any:
    """A section or a configuration as a mapping."""
    if isinstance(value, Section):
        return value.model_dump(mode="json")
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def finite(whose: str, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The metrics with blanks for what is no finite number, which a line each says; those in mappings included."""
    kept: dict[str, Any] = {}
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            kept[name] = finite(f"{whose}: {name}", value)
        elif isinstance(value, float) and not math.isfinite(value):
            print(f"warning: {whose}: {name} is {value}: it is left blank")
            kept[name] = None
        else:
            kept[name] = value
    return kept
