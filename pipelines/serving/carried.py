"""What a registered model carries beside its weights: code, which is imported under a name made of its content.

So it meets neither a package of the consumer called `models` nor the code of another registered model.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

PIPELINES = Path(__file__).parents[1]
ANSWERS = PIPELINES / "serving" / "answers"
MORE = ("data/tables/typed_rows.py", "data/tables/row_conditions.py", "data/quantisation.py")


def answering_sources() -> Iterator[tuple[str, Path]]:
    """The place of each file of ours that answers requests, and the file."""
    for path in sorted([*ANSWERS.glob("*.py"), *(PIPELINES / name for name in MORE)]):
        yield f"pipelines/{path.relative_to(PIPELINES).as_posix()}", path


def answering_modules() -> list[str]:
    """The names of the modules in these files."""
    return [place.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for place, _ in answering_sources()]


def sources(models: Path) -> Iterator[tuple[str, Path]]:
    """The place of each file in what is carried, and the file: the package `models`, and what answers need of ours."""
    for path in sorted(models.rglob("*.py")):
        if not {"__pycache__", "tests"} & set(path.relative_to(models).parts):
            yield f"models/{path.relative_to(models).as_posix()}", path
    yield from answering_sources()


def copy(models: Path, folder: Path) -> None:
    """Write it to a folder that is a package: every folder in it is one."""
    for name, path in sources(models):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    for each in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        if not (each / "__init__.py").exists():
            (each / "__init__.py").write_text('"""A part of genera, as a model carries it."""\n', encoding="utf-8")
