"""`report/numbers.csv`: every number that was measured of every entry, a row each, with what it was measured on.

Timings stand in comparison.csv: they are of a machine, and no two runs agree on them.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..evaluation.metrics.metric_catalogue import counterpart, metric_of
from .comparison import flat

HEADER = (
    "entry",
    "model",
    "number",
    "value",
    "low",
    "high",
    "split",
    "examples",
    "samples",
    "features",
    "seed",
    "train_seed",
    "data_digest",
)


def numbers(rows: Sequence[Mapping[str, Any]]) -> str:
    """The numbers of entries, of each the content of its metrics.json, as CSV text."""
    text = io.StringIO()
    writer = csv.DictWriter(text, HEADER, lineterminator="\n", restval="")
    writer.writeheader()
    for row in rows:
        writer.writerows(_of_entry(row))
    return text.getvalue()


def _of_entry(row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    known = dict(numbers_in(row))
    for name, value in known.items():
        metric = metric_of(name)
        if metric is None or metric.timed:
            continue
        examples, samples = (counterpart(name, metric, counted) for counted in (metric.examples, metric.samples))
        yield {
            **{key: row.get(key, "") for key in ("entry", "model", "seed", "train_seed", "data_digest")},
            "number": name,
            "value": value,
            "low": _or_blank(row.get(f"{name}_low")),
            "high": _or_blank(row.get(f"{name}_high")),
            "split": metric.split,
            "examples": known.get(examples, ""),
            "samples": known.get(samples, ""),
            "features": row.get("fid_features", "") if metric.in_features else "",
        }


def numbers_in(row: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The numbers of a metrics.json by name, those in mappings under dotted names."""
    for name, value in flat(row):
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield name, value


def _or_blank(value: Any) -> Any:
    return "" if value is None else value
