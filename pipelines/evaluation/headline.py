"""The headline of an entry: the few of its measurements that DVC shows, where it would show all that are declared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CHOSEN = ("nll_bits_per_dim", "nll_nats", "fid", "two_sample_auc", "synthetic_score")


def headline(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The few measurements that experiments are compared by: the objective by its name, and what was measured of these.

    Likelihoods are in the unit of the objective, if that is one.
    """
    objective, unit = metrics["objective_name"], metrics["objective_name"].removeprefix("val_")
    other = {"nll_bits_per_dim", "nll_nats"} - {unit} if unit.startswith("nll_") else set()
    chosen = {objective: metrics["objective"], **{name: metrics.get(name) for name in CHOSEN if name not in other}}
    return {name: value for name, value in chosen.items() if value is not None}
