"""The parts of a model card that depend on what the model can do, without a registry."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd

from pipelines.tracking.candidate import Candidate
from pipelines.tracking.card import LONGEST, description, model_card

CONFIG = {"model": "gan", "config": {"latent": 2}, "event": {"shape": [2], "levels": None, "classes": 0}}


def written(rows: pd.DataFrame | None, short: bool = False, **metrics: Any) -> str:
    """The card of a model that only samples."""
    candidate = Candidate("p-gan", "p", "gan", Path(), Path(), CONFIG, metrics, {}, "digest")
    family = SimpleNamespace(classes=0, bound=None)
    columns = [] if rows is None else list(rows.columns)
    answering: Any = SimpleNamespace(tasks={"sample": None}, columns=columns, data={}, family=family)
    return (description if short else model_card)(candidate, answering, rows, "samples.png")


def test_synthetic_rows_of_a_table_are_shown() -> None:
    text = written(pd.DataFrame({"age": [41, 7], "job": ["a|b", "c\nd"], "pay": [0.123456789, 2.0]}))
    assert "| age | job | pay |\n| --- | --- | --- |\n| 41 | a\\|b | 0.123457 |\n| 7 | c d | 2 |\n" in text
    wide = written(pd.DataFrame({f"c{number}": [number] for number in range(40)}))
    assert "c11 |" in wide and "c12 |" not in wide and "…and 28 more columns." in wide


def test_what_it_cannot_do_is_said() -> None:
    text = written(None, parallel_sampling=False, concerns=["it collapsed"])
    for limit in ("has no likelihood", "no codes", "cannot draw what is missing", "unconditional", "number by number"):
        assert limit in text, limit
    assert "Its training ended with a warning: it collapsed" in text
    assert "genera sample" in text and "genera score" not in text and '"log_prob"' not in text


def test_a_measurement_has_its_unit_once_and_its_interval() -> None:
    text = written(None, fid=2.5, fid_low=2.0, fid_high=3.0, invertible=False, samples_per_s=12.0, seed=0)
    assert text.count("`fid`") == 1 and "| `fid` | 2.50 | 2.00 … 3.00 |" in text and "| `invertible` | no |" in text
    assert "samples/s" in text and "`seed` | 0" not in text
    assert "samples/s" not in written(None, short=True, samples_per_s=12.0, fid=2.5), "speeds are of a machine"


def test_many_columns_stay_within_what_the_registry_keeps() -> None:
    assert len(written(pd.DataFrame({"x" * 90 + str(number): [0] for number in range(60)}), short=True)) <= LONGEST
