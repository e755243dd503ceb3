"""In a project's folder its own code runs, wherever `genera` is installed."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from ..shell import run

SAYS = "import pipelines; print('runs', pipelines.__file__)"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the code of this one."""
    folder = tmp_path_factory.mktemp("own") / "checkout"
    root = Path(__file__).parents[2]
    for name in ("models", "pipelines"):
        shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "params.yaml").write_text("entries: {gmm: {model: gmm}}\n")
    return folder


def genera(folder: Path, *arguments: str, root: Path) -> tuple[str, list[str]]:
    """The command of the environment, whose code is that of `root`: what it prints, and its lines on stderr."""
    start = "import sys; from pipelines.cli import main; sys.argv[0] = 'genera'; main()"
    done = run(folder, sys.executable, "-P", "-c", start, *arguments, PYTHONPATH=str(root))
    assert done.returncode == 0
    return done.stdout, done.stderr.splitlines()


def test_code_that_is_the_same_is_not_started_again(checkout: Path, root: Path) -> None:
    help_, said = genera(checkout, "--help", root=root)
    assert "Usage: genera" in help_ and said == []


def test_changed_code_of_the_folder_is_what_runs_and_a_line_says_so(checkout: Path, root: Path) -> None:
    changed = checkout / "pipelines/cli.py"
    before = changed.read_text()
    changed.write_text(before.replace('"""Run the command line;', f'{SAYS}\n    """Run the command line;'))
    printed, said = genera(checkout, "--help", root=root)
    assert f"runs {checkout}/pipelines/__init__.py" in printed and "Usage: genera" in printed
    assert said == [f"genera: the code of this folder runs: pipelines/cli.py is not that of {root}"]
    changed.write_text(before)
    extra = checkout / "models/extra.py"
    extra.touch()
    assert genera(checkout, "--help", root=root)[1] == [
        f"genera: the code of this folder runs: models/extra.py is not that of {root}"
    ]
    extra.unlink()


def test_in_a_copy_of_dvc_its_own_code_runs_though_it_is_the_same(checkout: Path, root: Path) -> None:
    """The other one may be edited while the experiment is under way."""
    copy = checkout / ".dvc/tmp/exps/tmpabc"
    ignored = shutil.ignore_patterns(".dvc", "__pycache__")
    shutil.copytree(checkout, copy, ignore=ignored)
    start = "import os, sys; os.execv = lambda *a: sys.exit(f'{a[1][1:]} {os.environ[\"PYTHONPATH\"]}')\n"
    start += "from pathlib import Path; from pipelines.own_code import run_own_code\nrun_own_code(Path.cwd())"
    done = run(copy, sys.executable, "-P", "-c", start, "train", "gmm", PYTHONPATH=str(root))
    assert done.stderr.strip() == f"['-m', 'pipelines.cli', 'train', 'gmm'] {copy}{os.pathsep}{root}"
    shutil.rmtree(checkout / ".dvc")


def test_a_folder_that_is_no_project_changes_nothing(tmp_path: Path, root: Path) -> None:
    for name in ("models/catalogue.py", "pipelines/cli.py"):  # of somebody else
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("raise SystemExit('not this')\n")
    assert "Usage: genera" in genera(tmp_path, "--help", root=root)[0]
