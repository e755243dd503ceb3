"""The headline of an entry: few numbers, in the unit of its objective, and nothing that was not measured."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.evaluation.headline import headline

MEASURED: dict[str, Any] = {
    "nll_bits_per_dim": 2.0, "nll_nats": 90.0, "fid": 0.5, "precision": 0.9, "synthetic_score": None
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "measured", "names"),
    [
        ("val_nll_bits_per_dim", MEASURED, ["val_nll_bits_per_dim", "nll_bits_per_dim", "fid"]),
        (
            "val_nll_nats",
            {**MEASURED, "two_sample_auc": 0.7, "synthetic_score": 0.8},
            ["val_nll_nats", "nll_nats", "fid", "two_sample_auc", "synthetic_score"],
        ),
        ("val_fid", {"fid": 0.5, "nll_nats": None}, ["val_fid", "fid"]),
    ],
    ids=["images", "table", "no density"],
)
def test_it_has_what_experiments_are_compared_by(name: str, measured: dict[str, Any], names: list[str]) -> None:
    found = headline({"objective": 2.1, "objective_name": name, **measured})
    assert list(found) == names and found[name] == 2.1 and found["fid"] == 0.5


def test_an_objective_that_was_not_measured_is_left_out() -> None:
    assert headline({"objective": None, "objective_name": "val_fid", "fid": 0.5}) == {"fid": 0.5}
