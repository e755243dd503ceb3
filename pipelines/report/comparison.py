"""The comparison of the entries as a table: `comparison.csv` for machines, cells for the page and the terminal.

What each number is, the catalogue of metrics says. A value that is None, NaN or absent was not measured; its cell is
blank and takes no part in the search for the best.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..evaluation.metrics.metric_catalogue import METRICS, Metric, is_bound
from ..evaluation.metrics.numerals import measured, number, rounded

BEST = "★"


@dataclass(frozen=True)
class Cell:
    """One shown value: its text, what to sort it by, a remark that qualifies it, and whether it is the best."""

    text: str = ""
    sort: float | None = None
    note: str = ""
    best: bool = False


# The names that comparison.csv starts with, in this order.
NAMES = (
    *("entry", "model", "nll_kind", "nll_bound", "objective_name"),
    *(name for name in METRICS if "*" not in name),
)

# What stands in the cell of a speed: sequential network passes per batch.
PASSES = {"samples_per_s": "sampling_passes", "log_probs_per_s": "scoring_passes"}

LIKELIHOODS = ("nll_bits_per_dim", "nll_nats")  # of these, bounds are marked and named

INTERVALS = ("fid", "kid")  # whose 95 % intervals stand in their cells, as those of likelihoods do

# The columns that people are shown, in their order. The bound of a likelihood and the passes of a speed are notes.
COLUMNS = tuple(metric for metric in METRICS.values() if metric.shown)


def comparison(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as CSV text: the columns `NAMES`, then any other in order of appearance; blank where not measured.

    What is nested has dotted names.
    """
    flattened = [dict(flat(row)) for row in rows]
    extra = dict.fromkeys(key for row in flattened for key in row if key not in NAMES)
    text = io.StringIO()
    writer = csv.DictWriter(text, [*NAMES, *extra], lineterminator="\n")
    writer.writeheader()
    for row in flattened:
        writer.writerow({key: _plain(value) for key, value in row.items() if measured(value)})
    return text.getvalue()


def flat(row: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of a mapping, and of those in it under dotted names."""
    for key, value in row.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def shown_columns(rows: Sequence[Mapping[str, Any]]) -> list[Metric]:
    """The columns in which something was measured, and of bits and nats, which are multiples, only bits."""
    shown = [column for column in COLUMNS if any(measured(row.get(column.name)) for row in rows)]
    in_bits = any(column.name == "nll_bits_per_dim" for column in shown)
    return [column for column in shown if not (in_bits and column.name == "nll_nats")]


def cells(rows: Sequence[Mapping[str, Any]], column: Metric) -> list[Cell]:
    """What a column shows in each row, the best marked.

    Values that look the same are equally good. Where fewer than two values differ, or all are bounds, none is the best.
    """
    values: list[Any] = [row.get(column.name) for row in rows]
    known = {rounded(value, column.digits) for value in values if measured(value)}
    comparable = not all(is_bound(row, column.name) for row in rows if measured(row.get(column.name)))
    best = min(known, key=column.badness) if column.better and len(known) > 1 and comparable else None
    return [_cell(row, value, column, best) for row, value in zip(rows, values, strict=True)]


def _cell(row: Mapping[str, Any], value: Any, column: Metric, best: float | None) -> Cell:
    if not measured(value):
        return Cell()
    if isinstance(value, bool):
        return Cell("yes" if value else "no", float(value))
    text = number(value, column.digits)
    best_here = best is not None and rounded(value, column.digits) == best
    if is_bound(row, column.name):
        text = f"≤ {text}"
    return Cell(text, float(value), _note(row, column), best_here)


def _note(row: Mapping[str, Any], column: Metric) -> str:
    """What qualifies a measured value: the bound of a likelihood, the passes of a speed."""
    if column.name in LIKELIHOODS:
        kind = str(row.get("nll_bound") or row.get("nll_kind") or "")
        return ", ".join(filter(None, (_margin(row, column), kind)))
    if column.name in INTERVALS:
        return _margin(row, column)
    passes: Any = row.get(PASSES.get(column.name, ""))
    return f"{number(passes)} {'pass' if passes == 1 else 'passes'}" if measured(passes) else ""


def _margin(row: Mapping[str, Any], column: Metric) -> str:
    """How far the 95 % interval of a value reaches, if it has one: of one that ends at 0, to its longer side."""
    value, low, high = (row.get(f"{column.name}{end}") for end in ("", "_low", "_high"))
    if value is None or low is None or high is None:
        return ""
    return f"±\u00a0{number(float(max(high - value, value - low)), 2)}"


def _plain(value: Any) -> Any:
    """Truth values as JSON writes them; pandas reads them back."""
    return str(value).lower() if isinstance(value, bool) else value
