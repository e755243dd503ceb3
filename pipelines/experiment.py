"""Experiments of DVC: `dvc exp run` in the workspace, and in a copy of the files that git knows (`--queue`, `--temp`).

DVC makes the copies in the project itself, and removes each when its experiment has ended:

    <project>/.dvc/tmp/exps/…/tmp…/

What has to outlive an experiment (records, the registry, checkpoints, kept results) belongs in the project that the
copy was made of: its home.
"""

from __future__ import annotations

import os
from pathlib import Path

NAME = "DVC_EXP_NAME"  # set by DVC for the stages of an experiment
COPIES = (".dvc", "tmp", "exps")  # where it runs those that have a folder of their own


def experiment(root: Path) -> str | None:
    """The name of DVC's experiment that this is; None if it is none."""
    name = os.environ.get(NAME, "").strip()
    return name or ("of a folder of its own" if is_copy(root) else None)


def is_copy(root: Path) -> bool:
    """Is this a copy of the project that DVC made for an experiment?"""
    return _place(root) is not None


def home_of(root: Path) -> Path:
    """The project that DVC copied to `root` for an experiment; `root` itself where it did not."""
    root = root.resolve()
    place = _place(root)
    if place is None:
        return root
    folders = [root, *root.parents][: len(root.parts) - place - len(COPIES)]
    copied = next((each for each in folders if (each / ".dvc").is_dir()), root)  # what has DVC's folder in the project
    return Path(*root.parts[:place]) / root.relative_to(copied)


def _place(root: Path) -> int | None:
    """At which part of a path the folder with the copies begins; None where there is none, or nothing below it."""
    parts = root.resolve().parts
    places = range(len(parts) - len(COPIES))
    return next((place for place in places if parts[place : place + len(COPIES)] == COPIES), None)
