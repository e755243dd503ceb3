"""`genera params`: the effective parameters, with every default filled in, as YAML."""

from __future__ import annotations

import sys
from dataclasses import asdict

from ruamel.yaml import YAML

from .project import Project


def show() -> None:
    """Print the validated, fully expanded parameters of the project in the current folder."""
    params = Project.here().params
    expanded = params.model_dump(mode="json", by_alias=True)
    for entry in params.families:
        config = asdict(params.config(entry))
        searched = params.tune.entries[entry].space if entry in params.tune.entries else {}
        settings = {
            key: f"searched in tune.entries.{entry}.space" if key in searched else _plain(value)
            for key, value in config.items()
        }
        expanded["families"][entry] = {"model": params.model(entry), **settings}
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.dump(expanded, sys.stdout)


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
