"""The reference of params.yaml, made of the classes that validate it, and of the commands, made of their help."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.params import schema
from pipelines.params.data_section import Data

from .docstrings import markdown
from .field_tables import field_list
from .repository_links import DOCS, write

PARAMETERS, COMMANDS = DOCS / "reference" / "params.md", DOCS / "reference" / "commands.md"
SOURCES: tuple[type[BaseModel], ...] = get_args(get_args(Data)[0])
SECTIONS: dict[str, tuple[type[BaseModel], ...]] = {
    "The file": (schema.Params,),
    "Entries": (schema.Block, schema.Train, schema.Distill, schema.DistillLoss, schema.Dimension),
    "Defaults": (schema.Defaults, schema.DistillDefaults, schema.Search),
    "Evaluation, registry, cluster": (
        schema.Evaluate,
        schema.Classifier,
        schema.Register,
        schema.Requirement,
        schema.Cluster,
    ),
}
INTRODUCTION = """# Reference of params.yaml

Every key, as the classes in `pipelines/params` define it: what values it takes, its default, and what it means. How the
sections work together is told in the [guide](../parameters.md); the keys of `config` are on the page of each
[family](../families/index.md). `genera params` prints your file with every default filled in.
"""


def write_references() -> list[Path]:
    """Write both pages; give their places."""
    write(PARAMETERS, parameters())
    write(COMMANDS, commands())
    return [PARAMETERS, COMMANDS]


def parameters() -> str:
    """The reference of all sections."""
    known: dict[Any, str] = {
        shown: f"[{_title(shown)}](#{_anchor(shown)})" for group in SECTIONS.values() for shown in group
    }
    known |= {shown: f"[{_title(shown)}](#{_anchor(shown)})" for shown in (*SOURCES, *_nested())}
    known[Data] = "one of the [sources](#data)"
    parts = [INTRODUCTION]
    for title, group in SECTIONS.items():
        parts.append(f"## {title}")
        parts += [_section(shown, known) for shown in group]
    parts += ["## Data", "The class is that of `data.source`."]
    parts += [_section(shown, known) for shown in (*SOURCES, *_nested())]
    return "\n\n".join(parts) + "\n"


def commands() -> str:
    """The reference of the command `genera`."""
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    parts = ["# Commands", "What `genera COMMAND --help` prints."]
    for name in group.commands:
        shown = CliRunner(env={"COLUMNS": "100"}).invoke(app, [name, "--help"], prog_name="genera")
        parts += [f"## genera {name}", f"```text\n{shown.output.strip()}\n```"]
    return "\n\n".join(parts) + "\n"


def _nested() -> list[type[BaseModel]]:
    """Classes of values inside of the sections of sources."""
    found: dict[type[BaseModel], None] = {}
    for source in SOURCES:
        for field in source.model_fields.values():
            found |= dict.fromkeys(_models(field.annotation))
    return list(found)


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation, *(model for f in annotation.model_fields.values() for model in _models(f.annotation))]
    return [model for inner in get_args(annotation) for model in _models(inner)]


def _section(shown: type[BaseModel], known: dict[Any, str]) -> str:
    """A class: its name, its docstring, its fields."""
    return (
        f"({_anchor(shown)})=\n### {_title(shown)}\n\n"
        f"{markdown(inspect.getdoc(shown) or '')}\n\n{field_list(shown, known)}"
    )


def _title(shown: type[BaseModel]) -> str:
    return shown.__name__


def _anchor(shown: type[BaseModel]) -> str:
    return f"section-{shown.__name__.lower()}"
