"""`report/numbers.csv`: every number that was measured of every entry, a row each, with what it was measured on."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

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
# What a number is measured on, by the first pattern that its name matches: the split, and the names of what counts
# its examples and samples, with \1 for what the pattern's group is. Names without a pattern say how something was
# measured, and are no measurement.
SOURCES: tuple[tuple[str, str, str, str], ...] = (
    (r"objective", "val", "", ""),
    (r"nll_by_class\.(.*)", "test", r"nll_by_class_examples.\1", ""),
    (r"nll_(?:nats|bits_per_dim|standard_error)|conditional_nll.*|bayes_accuracy", "test", "nll_examples", ""),
    (r"outliers\.(.*)\.(?:nll|.*_auroc)", "foreign", r"outliers.\1.examples", ""),
    (r"fid|kid|classes_covered", "test", "fid_references", "fid_samples"),
    (r"diversity", "test", "", ""),
    (r"precision|recall|density|coverage", "test", "prdc_examples", "prdc_examples"),
    (r"memorisation|copied", "train, test", "fid_references", "fid_samples"),
    (r"marginal_distance|correlation_distance|two_sample_auc", "test", "fid_references", "fid_samples"),
    (r"synthetic_score", "test", "fid_references", "score_examples"),
    (r"real_score", "train, test", "fid_references", ""),
    (r"completion_(?:error|diversity)", "test", "completion_examples", ""),
    (r"reconstruction_rmse|prior_gap|probe_accuracy|inversion_error", "test", "", ""),
    (r"train_(?:seconds|steps|examples_per_s|peak_mib|flops)", "train", "", ""),
    (r"(?:samples|log_probs)_per_s|(?:sampling|scoring)_(?:speed\..*|passes|flops|growth)|parameters", "", "", ""),
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
    known = dict(numbers_in(row))
    for name, value in known.items():
        found = next(((match, *each[1:]) for each in SOURCES if (match := re.fullmatch(each[0], name))), None)
        if found is None:
            continue
        match, split, examples, samples = found
        yield {
            **{key: row.get(key, "") for key in ("entry", "model", "seed", "train_seed", "data_digest")},
            "number": name,
            "value": value,
            "low": _or_blank(row.get(f"{name}_low")),
            "high": _or_blank(row.get(f"{name}_high")),
            "split": split,
            "examples": known.get(match.expand(examples), ""),
            "samples": known.get(match.expand(samples), ""),
            "features": row.get("fid_features", "") if IN_FEATURES.fullmatch(name) else "",
        }


def numbers_in(row: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The numbers of a metrics.json by name, those in mappings under dotted names."""
    for name, value in flat(row):
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield name, value


def _or_blank(value: Any) -> Any:
    return "" if value is None else value
