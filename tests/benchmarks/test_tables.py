"""The comparison of tables: what was made is not made again, and who is first is said by the numbers."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest

from benchmarks import _sdv_peer, tables
from pipelines.errors import UserError
from pipelines.files import read_json, write_json

from ..pipelines.evaluation.tables.customers import KINDS, customers

PROFILES = Path(__file__).parents[2] / "profiles"


def record(name: str, by: str, shapes: float, trends: float, auc: float, seconds: float = 1.0) -> tables.Record:
    kinds = {"column_shapes": "higher", "pair_trends": "higher", "two_sample_auc": "half"}
    numbers = {
        key: {"value": value, "better": kinds[key]} for key, value in zip(kinds, (shapes, trends, auc), strict=True)
    }
    return {"name": name, "by": by, "numbers": numbers, "train_cpu_s": seconds, "sample_cpu_s": seconds}


FOUND = [
    record("real", "reference", 1.0, 1.0, 0.5),
    record("made", "genera", 0.99, 0.9, 0.45, seconds=2.0),
    record("vae", "genera", 0.8, 0.7, 0.9),
    record("ctgan", "SDV", 0.9, 0.95, 0.56, seconds=6.0),
]


def test_ours_are_first_only_where_they_are() -> None:
    said = tables.standings(FOUND)
    assert said["column_shapes"] == {
        "ranked": ["made", "ctgan", "vae"], "ahead_of_all_peers": ["made"], "not_ahead": ["vae"]
    }  # fmt: skip
    assert said["pair_trends"]["ahead_of_all_peers"] == [] and said["pair_trends"]["ranked"][0] == "ctgan"
    assert said["two_sample_auc"]["ahead_of_all_peers"] == ["made"], "0.45 is nearer to a half than 0.56 is"


def test_nobody_is_ahead_of_peers_that_there_are_not() -> None:
    assert tables.standings(FOUND[:3])["column_shapes"]["ahead_of_all_peers"] == []


def test_times_are_compared_as_ratios() -> None:
    rows = {(row.case, row.other_name): row.ratio for row in tables.races(FOUND)}
    assert rows["made: train", "ctgan"] == 3 and rows["vae: train", "ctgan"] == 6
    assert len(rows) == 4


def test_what_was_made_is_kept_and_what_cannot_have_been_made_is_not(tmp_path: Path) -> None:
    def lacks() -> Path:
        raise UserError("no teacher")

    maker = tables.Maker("genera", lambda: tmp_path, lambda: tmp_path)
    assert maker.kept is None
    write_json(tmp_path / "cost.json", {})
    assert maker.kept == tmp_path
    assert tables.Maker("genera", lacks, lacks).kept is None


def test_an_unknown_name_and_missing_data_are_said_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "profiles").symlink_to(PROFILES)
    monkeypatch.setattr(sys, "argv", ["tables", "--only", "nobody"])
    with pytest.raises(SystemExit, match=r"no file .*adult\.data\.gz and .*adult\.test\.gz: docs/data\.md"):
        tables.main()


@pytest.mark.skipif(find_spec("sdv") is None, reason="sdv is not installed: `uv sync --group bench`")
@pytest.mark.filterwarnings("ignore")
def test_a_peer_draws_rows_of_the_same_columns_with_gaps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sdv_peer, "ROWS", 50)
    columns = {name: kind for name, kind in KINDS.items() if kind != "date"}
    train = customers(200, 0)[list(columns)].astype({"member": str, "size": object})
    _sdv_peer.make("copula", train, columns, tmp_path)
    rows = pd.read_parquet(tmp_path / "rows.parquet")
    assert list(rows) == list(columns) and len(rows) == 50
    assert rows["size"].isna().any() and set(rows["size"].dropna()) <= {"S", "M", "L"}
    cost = read_json(tmp_path / "cost.json")
    assert cost["train_cpu_s"] > 0 and cost["versions"]["sdv"] >= "2"
