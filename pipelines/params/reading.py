"""Reading params.yaml: every mistake in it is found before anything starts, and named in a line of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from ..errors import UserError
from .checks import problems
from .messages import lines
from .schema import Params


def load(path: Path) -> Params:
    """Read and validate a params.yaml; a UserError lists everything that is wrong with it, one line each."""
    try:
        raw = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(f"{path}: there is no such file; run the command in the project's folder") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: is no YAML: {' '.join(str(error).split())}") from None
    return parse(raw)


def parse(raw: Any) -> Params:
    """Validate the content of a params.yaml; a UserError lists everything that is wrong with it."""
    try:
        params = Params.model_validate(raw)
    except ValidationError as error:
        raise UserError("\n".join(lines(error, Params))) from None
    found = problems(params)
    if found:
        raise UserError("\n".join(found))
    return params
