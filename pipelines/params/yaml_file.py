"""YAML files, read safely: no tag of a file can run code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from ..errors import UserError


def content(path: Path) -> Any:
    """What a YAML file holds. Raises `UserError` for one that is not there, or is none."""
    try:
        return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(f"{path}: there is no such file; run the command in the project's folder") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(_message(path, error)) from None


def _message(path: Path, error: Exception) -> str:
    """One line for what the parser says in many: the file, the line and what is wrong there."""
    name = path.name if path.parent == Path.cwd() else path
    if not (isinstance(error, MarkedYAMLError) and error.problem and error.problem_mark):
        return f"{name}: is no YAML: {' '.join(str(error).split())}"
    last = error.problem_mark.line + 1
    if isinstance(error, DuplicateKeyError):
        key = error.problem.split('"')[1]
        return f"{name}: line {last}: {key!r} is given twice in the same block"
    first = error.context_mark.line + 1 if error.context_mark else last
    lines = f"line {last}" if first == last else f"lines {first} to {last}"
    return f"{name}: {lines}: is no YAML: {error.problem}"
