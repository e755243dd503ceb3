"""`report/numbers.csv`: every number that was measured of every entry, a row each, with what it was measured on."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .table import flat

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
# What a number is measured on, by the first pattern that its name matches: the split, and the names of what counts
# its examples and samples. Names without a pattern say how something was measured, and are no measurement.
SOURCES: tuple[tuple[str, str, str, str], ...] = (
    (r"objective", "val", "", ""),
    (
        r"nll_by_class\..*|nll_(nats|bits_per_dim|standard_error)|conditional_.*|bayes_accuracy",
        "test",
        "nll_examples",
        "",
    ),
    (r"outliers\..*", "test", "nll_examples", ""),
    (r"fid|kid|precision|recall|density|coverage|diversity|classes_covered", "test", "fid_references", "fid_samples"),
    (r"memorisation|copied", "train, test", "fid_references", "fid_samples"),
    (r"marginal_distance|correlation_distance|two_sample_auc|(synthetic|real)_score", "test", "", "fid_samples"),
    (r"completion_(error|diversity)", "test", "completion_examples", ""),
    (r"reconstruction_rmse|prior_gap|probe_accuracy|inversion_error", "test", "", ""),
    (r"train_(seconds|steps|examples_per_s|peak_mib|flops)", "train", "", ""),
    (r"(samples|log_probs)_per_s|(sampling|scoring)_(speed\..*|passes|flops|growth)|parameters", "", "", ""),
)
IN_FEATURES = re.compile(r"fid|kid|precision|recall|density|coverage|diversity|memorisation|copied|classes_covered")


def numbers(rows: Sequence[Mapping[str, Any]]) -> str:
    """The numbers of entries, of each the content of its metrics.json, as CSV text."""
    text = io.StringIO()
    writer = csv.DictWriter(text, HEADER, lineterminator="\n", restval="")
    writer.writeheader()
    for row in rows:
        writer.writerows(_of_entry(row))
    return text.getvalue()


def _of_entry(row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name, value in numbers_in(row):
        source = next((each for each in SOURCES if re.fullmatch(each[0], name)), None)
        if source is None:
            continue
        _, split, examples, samples = source
        yield {
            **{key: row.get(key, "") for key in ("entry", "model", "seed", "train_seed", "data_digest")},
            "number": name,
            "value": value,
            "low": _or_blank(row.get(f"{name}_low")),
            "high": _or_blank(row.get(f"{name}_high")),
            "split": split,
            "examples": _or_blank(row.get(examples)),
            "samples": _or_blank(row.get(samples)),
            "features": row.get("fid_features", "") if IN_FEATURES.fullmatch(name) else "",
        }


def numbers_in(row: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The numbers of a metrics.json by name, those in mappings under dotted names."""
    for name, value in flat(row):
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield name, value


def _or_blank(value: Any) -> Any:
    return "" if value is None else value
