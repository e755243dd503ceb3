"""Every tutorial is followed, block by block, at toy size: what it says to type works, and leaves what it says."""

from __future__ import annotations

import csv
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from pipelines.files import read_json

from .conftest import SMALL
from .tutorial_pages import TUTORIALS, Reader, steps

pytestmark = pytest.mark.slow
ROOT = TUTORIALS.parents[1]
LANGUAGES = {"sh", "python", "yaml", "text"}
NOTES = {"write", "merge", "insert", "make", "fails", "skip", "output"}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def is_picture(path: Path) -> bool:
    with Image.open(path) as picture:
        return picture.format == "PNG" and min(picture.size) > 8


@pytest.mark.parametrize("page", sorted(path.stem for path in TUTORIALS.glob("*.md")))
def test_every_block_is_run_or_says_why_not(page: str) -> None:
    found = steps(page)
    assert found and {step.language for step in found} <= LANGUAGES
    assert {step.note.partition(":")[0] for step in found if step.note} <= NOTES
    assert all(len(step.note) > len("skip: why") for step in found if step.note.startswith("skip"))
    assert all(step.note for step in found if step.language == "yaml")
    assert any(step.language in ("sh", "python") and not step.note.startswith("skip") for step in found)


def test_ten_minutes_on_the_digits(built: Reader) -> None:
    first = read_json(built.folder / "artifacts/train/maf/metrics.json")
    built.follow("digits")
    assert is_picture(built.folder / "threes.png")
    assert len(rows(built.folder / "scores.csv")) == 5
    assert read_json(built.folder / "artifacts/train/maf/metrics.json") != first  # it was trained again
    assert read_json(built.folder / "artifacts/train/maf/config.json")["config"]["blocks"] == 3


def test_teach_a_fast_student(built: Reader) -> None:
    built.follow("student")
    assert (built.folder / "artifacts/distill/iaf/history.csv").is_file()


def test_use_a_model_without_this_repository(built: Reader, tmp_path: Path) -> None:
    registry = f"sqlite:///{built.folder}/mlflow.db"
    alone = Reader(tmp_path, {**built.environment, "MLFLOW_TRACKING_URI": registry}, {})
    alone.replaced = {"http://127.0.0.1:5000": registry}
    if not (built.folder / "five.npy").is_file():
        pytest.skip("the tutorial on the digits makes the images")
    shutil.copy(built.folder / "five.npy", tmp_path)
    alone.follow("consumer")
    assert {"threes.npz", "threes.png", "scores.csv"} <= set(os.listdir(tmp_path))
    assert not (tmp_path / "whole.npz").exists()


def test_your_own_pictures(reader: Callable[..., Reader]) -> None:
    someone = reader("gmm")
    someone.follow("pictures")
    assert read_json(someone.folder / "data/prepared/images/meta.json")["class_names"] == ["disc", "square"]
    assert is_picture(someone.folder / "discs.png")


def test_a_table_and_proof_that_it_is_private(reader: Callable[..., Reader]) -> None:
    someone = reader("gmm")
    someone.small = {**SMALL, "evaluate": {**SMALL["evaluate"], "samples": 120}}  # scores of fewer than 100 are blank
    someone.follow("table")
    real, made, older = (rows(someone.folder / path) for path in ("data/raw/diabetes.csv", "rows.csv", "older.csv"))
    assert list(made[0]) == list(real[0]) and len(made) == 1000
    assert len(older) == 200 and all(int(row["age"]) >= 60 and row["sex"] == "two" for row in older)


def test_add_a_family(tmp_path: Path) -> None:
    for name in ("models", "pipelines", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("params.yaml", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    ours = {**os.environ, "PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"}
    someone = Reader(tmp_path, ours, {"entries": {"unigram": {"train": {"steps": 20, "validate_every": 10}}}})
    someone.follow("new_family")
    program = "from pipelines.cli import main; main()"
    for command in (
        ("plan",),
        ("prepare",),
        ("train", "unigram"),
        ("sample", "unigram", "--n", "4", "--out", "four.png"),
    ):
        someone.run([sys.executable, "-c", program, *command])
    assert (tmp_path / "four.png").is_file()


def test_the_texts_of_pages_are_of_the_commands() -> None:
    """What pages show as printed names what is there: no output is a placeholder."""
    assert not [page for page in TUTORIALS.glob("*.md") if re.search(r"^OUTPUT$", page.read_text(), re.MULTILINE)]
