"""The digest of the code that a training's outcome depends on: its family's module, the loop, the validation."""

from __future__ import annotations

import ast
from importlib.util import find_spec
from pathlib import Path

from models.catalogue import CATALOGUE

from .files import text_digest

PACKAGES = (
    "models",
    "pipelines.training.jobs",
    "pipelines.evaluation.metrics",
    "pipelines.training.students",
    "pipelines.training",
    "pipelines.evaluation.validation",
)


def family_digest(model: str) -> str:
    """The digest of a family of the catalogue."""
    return module_digest("models." + CATALOGUE[model].split(":")[0])


def module_digest(module: str) -> str:
    """The SHA-256 of the sources of a module, of the loop, of the validation, and of all in `PACKAGES` they reach."""
    sources: dict[str, str] = {}
    for root in (module, "pipelines.training.jobs", "pipelines.training.loop", "pipelines.evaluation.validation"):
        _collect(root, sources)
    return text_digest(*(part for item in sorted(sources.items()) for part in item))


def _collect(module: str, sources: dict[str, str]) -> None:
    """Add the source of `module` and of everything in `PACKAGES` that it imports, directly or not."""
    if module in sources or not module.startswith(PACKAGES):
        return
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        return  # a name imported from a module, not a module
    sources[module] = Path(spec.origin).read_text(encoding="utf-8")
    package = module if spec.submodule_search_locations is not None else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(sources[module])):
        if isinstance(node, ast.ImportFrom):
            parent = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
            imported = ".".join(filter(None, (parent if node.level else "", node.module or "")))
            if _is_module(imported):
                _collect(imported, sources)
            for alias in node.names:
                if _is_module(f"{imported}.{alias.name}"):
                    _collect(f"{imported}.{alias.name}", sources)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                _collect(alias.name, sources)


def _is_module(name: str) -> bool:
    """Is this the name of a module of ours?"""
    if not name.startswith(PACKAGES):
        return False
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # its parent is a module, not a package
        return False
