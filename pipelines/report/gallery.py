"""The first screen: real examples, then the samples of every entry, the best first, each with its three numbers.

What is best, the reader chooses; at first it is the quality of samples, or what stands in for it (`CHOICES`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ..evaluation.metrics.metric_catalogue import METRICS, Metric, is_bound
from .comparison import Cell, cells, shown_columns
from .standings import FID, SPEED, Row, interval, likelihood, value_of

AUC = METRICS["two_sample_auc"]
NUMBERS = 3  # beside each row
WORDS = {"nll_bits_per_dim": "Likelihood", "nll_nats": "Likelihood", SPEED.name: "Speed"}  # what is chosen by them


@dataclass(frozen=True)
class Line:
    """An entry among the others: its numbers by the metrics' order."""

    entry: str
    model: str
    numbers: Sequence[Cell]


def choices(rows: Sequence[Row]) -> list[Metric]:
    """What the rows can be ordered by, the first at first: two of quality, and speed; less where less was measured."""
    quality = [metric for metric in (FID, likelihood(rows), AUC) if _measured(rows, metric)][: NUMBERS - 1]
    return [*quality, *([SPEED] if _measured(rows, SPEED) else [])]


def lines(rows: Sequence[Row], metrics: Sequence[Metric]) -> list[Line]:
    """The entries, the best by the first of the metrics first; those of which it was not measured come last."""
    shown = [cells(rows, metric) for metric in metrics]
    made = [
        (row, Line(str(row["entry"]), str(row["model"]), numbers)) for row, *numbers in zip(rows, *shown, strict=True)
    ]
    return [line for _, line in sorted(made, key=lambda pair: _place(pair[0], metrics))]


def data(rows: Sequence[Row], teachers: Mapping[str, str]) -> Markup:
    """What the page's script knows, as JSON: the columns of the summary, and of each entry its numbers."""
    metrics = shown_columns(rows)
    content = {
        "metrics": {metric.name: _about(metric, rows) for metric in metrics},
        "choices": [metric.name for metric in choices(rows)],
        "entries": [_entry(row, metrics, teachers.get(str(row["entry"]))) for row in rows],
    }
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))  # so that no name ends the script


def _about(metric: Metric, rows: Sequence[Row]) -> dict[str, object]:
    drawn = metric.better is not None and sum(value_of(row, metric.name) is not None for row in rows) > 1
    return {"title": metric.title, "unit": metric.unit, "better": metric.better, "drawn": drawn}


def _entry(row: Row, metrics: Sequence[Metric], teacher: str | None) -> dict[str, object]:
    """Of each metric its value, and, where a picture needs them, its text, its interval and whether it is a bound."""
    shown = {metric: cell for metric in metrics for cell in cells([row], metric)}
    known = {metric: cell for metric, cell in shown.items() if cell.sort is not None and math.isfinite(cell.sort)}
    return {
        "entry": row["entry"],
        "teacher": teacher,
        "values": {metric.name: cell.sort for metric, cell in known.items()},
        "texts": {metric.name: f"{cell.text} {metric.unit}".strip() for metric, cell in known.items()},
        "ends": {metric.name: ends for metric in known if (ends := interval(row, metric.name))},
        "bounds": [metric.name for metric in known if is_bound(row, metric.name)],
    }


def _place(row: Row, metrics: Sequence[Metric]) -> tuple[bool, float]:
    value = value_of(row, metrics[0].name) if metrics else None
    return (value is None, 0.0) if value is None else (False, metrics[0].badness(value))


def _measured(rows: Sequence[Row], metric: Metric) -> bool:
    return any(value_of(row, metric.name) is not None for row in rows)
