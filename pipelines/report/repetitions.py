"""Repetitions: entries that differ in the seed of their training alone, and what their numbers are on average."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..evaluation.metrics.metric_catalogue import metric_of
from .numbers import numbers_in

SEEDS = ("seed", "train_seed")


@dataclass(frozen=True)
class Mean:
    """The mean of a number over repetitions, and its standard error."""

    value: float
    standard_error: float


@dataclass(frozen=True)
class Repetition:
    """Entries that repeat one experiment, and the means of what was measured of all of them, by name."""

    entries: Sequence[str]
    means: Mapping[str, Mean]


def repetitions(experiments: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> list[Repetition]:
    """Those among `rows`, given for each entry a text that is the same for all repetitions of one experiment."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(experiments[row["entry"]], []).append(row)
    return [_repetition(group) for group in groups.values() if len(group) > 1]


def _repetition(rows: Sequence[Mapping[str, Any]]) -> Repetition:
    measured = [dict(numbers_in(row)) for row in rows]
    names = [name for name in measured[0] if name not in SEEDS and all(name in each for each in measured)]
    means = {name: _mean([each[name] for each in measured]) for name in names}
    return Repetition([row["entry"] for row in rows], means)


def _mean(values: Sequence[float]) -> Mean:
    return Mean(statistics.fmean(values), statistics.stdev(values) / len(values) ** 0.5)


def table(found: Sequence[Repetition]) -> str:
    """`report/seeds.csv`: a row for each number of each experiment that was repeated, but for timings."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("entries", "repetitions", "number", "mean", "standard_error"))
    for each in found:
        for name, mean in each.means.items():
            if (metric := metric_of(name)) is not None and metric.timed:
                continue
            writer.writerow((" ".join(each.entries), len(each.entries), name, mean.value, mean.standard_error))
    return text.getvalue()
