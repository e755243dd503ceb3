"""What the code of a result means: a digest of the syntax trees behind it, without comments and docstrings.

A job is keyed by it, and DVC sees it (see `stages/code.py`): a reworded sentence changes nothing, a changed operation
changes all that really imports it. Modules whose code has no part in results are `PLUMBING`: they start, store, record
and check things. PyTorch is not imported here, nor are the modules that are looked at.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .files import text_digest

PLUMBING = (
    "models.catalogue",  # names the families: another one changes nothing for those there are
    "pipelines.cli",
    "pipelines.cluster.address",
    "pipelines.cluster.asked",
    "pipelines.cluster.board",
    "pipelines.cluster.connect",
    "pipelines.cluster.gauge",
    "pipelines.cluster.launch",
    "pipelines.cluster.quiet",
    "pipelines.cluster.data_parallel",
    "pipelines.data.prepared",  # what is read has a digest of its own
    "pipelines.data.publishing",
    "pipelines.data.rows",
    "pipelines.data.sent",
    "pipelines.errors",
    "pipelines.experiment",
    "pipelines.files",
    "pipelines.git",
    "pipelines.identity",
    "pipelines.lease",
    "pipelines.own_code",
    *(
        f"pipelines.params.{name}"  # what is set counts by its value; an entry and what it implies do by their code
        for name in (
            *("checks", "data_section", "effective", "file_options", "file_sections", "messages", "plan", "profiles"),
            *("project", "reading", "schema", "section", "source_section", "table_sections", "yaml_file"),
        )
    ),
    "pipelines.progress",
    "pipelines.storage",
    "pipelines.tracking.record",
    "pipelines.tracking.records",
    "pipelines.tracking.stage_run",
    "pipelines.tracking.store",
    "pipelines.tracking.writer",
    "pipelines.training.origin",
)
TEMPLATES = "templates"  # a folder beside the modules that fill them in


@dataclass(frozen=True)
class Module:
    """A module of ours: the digest of its syntax tree, and those of ours that it imports, inside functions too."""

    digest: str
    imports: tuple[str, ...]


def code_digest(*roots: str) -> str:
    """The digest of the modules `roots` and of all code of ours behind them, but for plumbing."""
    return text_digest(*(part for name in closure(*roots) for part in (name, module(name).digest)))


def closure(*roots: str) -> list[str]:
    """The modules `roots` and all of ours that they import, directly or not, but for plumbing, in order."""
    seen, ahead = set[str](), list(roots)
    while ahead:
        name = ahead.pop()
        if name not in seen:
            seen.add(name)
            ahead += [each for each in module(name).imports if not _is_plumbing(each)]
    return sorted(seen)


def _is_plumbing(name: str) -> bool:
    return any(name == each or name.startswith(f"{each}.") for each in PLUMBING)


@cache
def module(name: str) -> Module:
    """What a module of ours means. KeyError for a name that is none."""
    path = _file(name)
    if path is None:
        raise KeyError(f"{name} is no module of {' or '.join(_roots())}")
    tree = ast.parse(path.read_bytes())
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    imports = tuple(sorted(set(_imported(tree, package)) - {name}))
    texts = [each.read_text(encoding="utf-8") for each in _templates(tree, path)]
    return Module(text_digest(_meaning(tree), *texts), imports)


@cache
def _roots() -> dict[str, Path]:
    """The folders of our packages: those that are imported here."""
    models = find_spec("models")
    assert models is not None  # it is installed together with this package
    assert models.origin is not None
    return {"models": Path(models.origin).parent, "pipelines": Path(__file__).parent}


@cache
def _file(name: str) -> Path | None:
    """The file of a module of ours."""
    first, *rest = name.split(".")
    root = _roots().get(first)
    if root is None:
        return None
    path = root.joinpath(*rest)
    return next((each for each in (path / "__init__.py", path.with_suffix(".py")) if each.is_file()), None)


def _imported(tree: ast.Module, package: str) -> Iterator[str]:
    """The modules of ours that a module of `package` imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if _file(alias.name))
        elif isinstance(node, ast.ImportFrom):
            base = package.rsplit(".", node.level - 1)[0] if node.level else ""
            parent = ".".join(filter(None, (base, node.module)))
            for alias in node.names:
                name = f"{parent}.{alias.name}"
                if _file(name):
                    yield name
                elif _file(parent):
                    yield parent


def _templates(tree: ast.Module, path: Path) -> list[Path]:
    """The templates that a module fills in, if it loads any."""
    loads = any(isinstance(node, ast.Name) and node.id == "PackageLoader" for node in ast.walk(tree))
    return sorted((path.parent / TEMPLATES).iterdir()) if loads else []


def _meaning(tree: ast.Module) -> str:
    """A syntax tree in words, the same for every version of Python: what is empty or a bare text is left out."""
    words: list[str] = []
    _spell(tree, words)
    return " ".join(words)


def _spell(node: Any, words: list[str]) -> None:
    if isinstance(node, list):
        for each in node:
            if not _is_text(each):
                _spell(each, words)
    elif isinstance(node, ast.Constant):
        words.append(f"{type(node.value).__name__}:{node.value!r}")
    elif isinstance(node, ast.AST):
        words.append(f"({type(node).__name__}")
        for name in node._fields:
            value = getattr(node, name, None)
            if value is not None and value != [] and name not in ("ctx", "kind", "type_comment"):
                words.append(name)
                _spell(value, words)
        words.append(")")
    else:
        words.append(repr(node))


def _is_text(node: Any) -> bool:
    """Is this a statement that is nothing but a text, such as a docstring?"""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
