"""`genera params`: the effective parameters, with every default filled in, as YAML."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

from ruamel.yaml import YAML

from .entry import Entry
from .project import Project
from .schema import Params


def show(project: Project) -> None:
    """Print the validated, fully expanded parameters of a project."""
    expanded = project.params.model_dump(mode="json", by_alias=True)
    expanded["project"] = project.params.name
    expanded["defaults"] = defaults(project.params)
    expanded["entries"] = {name: expand(entry) for name, entry in project.entries.items()}
    expanded["evaluate"]["classifier"] = project.params.classifier.model_dump(mode="json")
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.dump(expanded, sys.stdout)


def defaults(params: Params) -> dict[str, Any]:
    """What entries inherit; of distillations what `defaults.train` says goes before what is built in."""
    section = params.defaults.model_dump(mode="json")
    section["distill"] |= params.defaults.train.model_dump(mode="json", exclude_unset=True)
    section["distill"] |= params.defaults.distill.model_dump(mode="json", exclude_unset=True)
    return section


def expand(entry: Entry) -> dict[str, Any]:
    """The whole block of an entry."""
    block: dict[str, Any] = {
        "model": entry.model,
        "config": {key: _plain(value) for key, value in asdict(entry.config).items()},
        entry.stage: entry.loop.model_dump(mode="json"),
    }
    if entry.space:
        block["search"] = {key: space.model_dump(mode="json") for key, space in entry.space.items()}
    return block


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
