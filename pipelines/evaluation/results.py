"""Everything that was measured of an entry: its numbers, and what it cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..files import read_json
from ..params.entry import Entry
from ..params.project import Project
from .finished import METRICS, cost_of, weights_digest

SCORECARD = "scorecard.json"  # of samples of a table; nothing is in that of other data
TRAINING = ("train_seconds", "train_peak_mib")  # of the cost of a training


def result(project: Project, entry: Entry) -> dict[str, Any]:
    """The metrics.json of its evaluation, with speeds and the cost of its training as far as they are known here."""
    made, evaluated = project.made(entry), project.artifacts("evaluate", entry)
    metrics, weights = read_json(evaluated / METRICS), weights_digest(made)
    trained = cost_of(made, weights)
    return {**metrics, **cost_of(evaluated, weights), **{name: trained.get(name) for name in TRAINING}}


def finite(whose: str, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The metrics with blanks for what is no finite number, which a line each says; those in mappings included."""
    kept: dict[str, Any] = {}
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            kept[name] = finite(f"{whose}: {name}", value)
        elif isinstance(value, float) and not math.isfinite(value):
            print(f"warning: {whose}: {name} is {value}: it is left blank")
            kept[name] = None
        else:
            kept[name] = value
    return kept
