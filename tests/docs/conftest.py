"""Projects in which readers follow the tutorials, at toy size."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from ..forked import quick_genera
from ..shell import run, shell
from .tutorial_pages import Reader, change

ROOT = Path(__file__).parents[2]
# What the pages leave to `make repro`, in seconds: few steps, few samples, small networks.
FEW = {"steps": 20, "validate_every": 10, "checkpoint_every": 10, "batch_size": 32}
SMALL: dict[str, Any] = {
    "defaults": {"train": {"checkpoint_every": 10}},
    "entries": {
        "gmm": {"config": {"components": 3}, "train": {"steps": 4, "validate_every": 2}},
        "vae": {"config": {"hidden": [16], "importance_samples": 2}, "train": FEW, "search": None},
        "maf": {"config": {"hidden": [16]}, "train": FEW},
        "iaf": {"config": {"hidden": [16]}, "distill": {**FEW, "val_samples": 32, "warmup_steps": 2}},
        "made": {"config": {"hidden": [16]}, "train": FEW},
    },
    "evaluate": {
        **{"samples": 60, "draws": 2, "speed_batch": 8, "small_batches": [1], "speed_runs": 1, "temperatures": [1.0]},
        "classifier": {"steps": 20, "validate_every": 10},
    },
}


@pytest.fixture(scope="session")
def quick() -> Iterator[dict[str, str]]:
    """A user's environment in which `genera` starts at once."""
    environment = shell(OMP_NUM_THREADS="1", PYTHONPATH=str(ROOT))
    with quick_genera(environment) as programs:
        yield {**environment, "PATH": f"{programs}{os.pathsep}{environment['PATH']}"}


def empty_project(folder: Path, entries: tuple[str, ...]) -> Path:
    """A clone of this repository, as far as readers use it, with some entries of the default parameters."""
    for name in ("params.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, folder)
    for name in ("models", "pipelines"):  # what DVC watches
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for command in (("git", "init", "-q"), ("dvc", "init", "-q"), ("dvc", "config", "core.analytics", "false")):
        assert run(folder, *command).returncode == 0
    yaml = YAML()
    params = yaml.load((folder / "params.yaml").read_text())
    params["entries"] = {name: params["entries"][name] for name in entries}
    with (folder / "params.yaml").open("w") as file:
        yaml.dump(params, file)
    change(folder / "params.yaml", {}, SMALL)
    return folder


@pytest.fixture
def reader(tmp_path: Path, quick: dict[str, str]) -> Callable[..., Reader]:
    """Someone in a fresh project with some entries."""

    def new(*entries: str) -> Reader:
        return Reader(empty_project(tmp_path, entries), quick, SMALL)

    return new


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, quick: dict[str, str]) -> Reader:
    """Someone in a project on the digits that was built once, for tutorials that go on from there."""
    someone = Reader(empty_project(tmp_path_factory.mktemp("digits"), ("gmm", "vae", "maf")), quick, SMALL)
    someone.make()
    return someone
