"""A project's folder has its own code, and that is what runs there, wherever the command is installed.

The command `genera` of an environment imports the checkout that the environment was made of. Another clone, another
worktree, and the copy that DVC makes for an experiment have code of their own, which their stages depend on: so the
command starts again with that.
"""

from __future__ import annotations

import filecmp
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from .experiment import is_copy

PACKAGES = ("models", "pipelines")
MARKS = ("params.yaml", "models/catalogue.py", "pipelines/cli.py", "pipelines/own_code.py")  # of a project's folder
PATHS = "PYTHONPATH"


def run_own_code(folder: Path) -> None:
    """Start the command again with the code in `folder`, if that is a project with other code than this.

    The same code, in another place, is as good; but in DVC's copies, where the other one may be edited meanwhile.
    """
    installed = Path(__file__).resolve().parents[1]
    if not all((folder / mark).is_file() for mark in MARKS) or folder.resolve() == installed:
        return
    other = next(_differences(folder, installed), None)
    if other is None and not is_copy(folder):
        return
    if other is not None:
        print(f"genera: the code of this folder runs: {other} is not that of {installed}", file=sys.stderr, flush=True)
    os.environ[PATHS] = os.pathsep.join(filter(None, (str(folder.resolve()), os.environ.get(PATHS))))
    os.execv(sys.executable, [sys.executable, "-m", "pipelines.cli", *sys.argv[1:]])


def _differences(folder: Path, other: Path) -> Iterator[str]:
    """The files of the packages that are not the same in both folders, or are in one of them only."""
    names = [_files(each) for each in (folder, other)]
    yield from sorted(names[0] ^ names[1])
    for name in sorted(names[0] & names[1]):
        if not filecmp.cmp(folder / name, other / name, shallow=False):
            yield name


def _files(folder: Path) -> set[str]:
    """The files of the packages in a folder, but for bytecode and what tools and systems leave."""
    paths = (path for name in PACKAGES for path in (folder / name).rglob("*") if path.is_file())
    names = (path.relative_to(folder) for path in paths)
    return {str(name) for name in names if "__pycache__" not in name.parts and not name.name.startswith(".")}
