"""YAML files, read safely: no tag of a file can run code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from ..errors import UserError


def content(path: Path) -> Any:
    """What a YAML file holds. Raises `UserError` for one that is not there, or is none."""
    try:
        return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(f"{path}: there is no such file; run the command in the project's folder") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: is no YAML: {' '.join(str(error).split())}") from None
