"""Numbers that were measured on too few examples to mean anything: they are blank, and it is said why.

Of fifteen test examples every ball around five neighbours holds a third of the data, and every model has a precision of
1. How many are enough is said once, beside each metric in the catalogue: `least`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .metrics.metric_catalogue import Metric, counterpart, metric_of

BLANK = "blank"  # the key of metrics.json under which the reasons stand, by the names of the numbers
REASON = "{count:,} of the {least} examples that are needed"


def too_few_reason(name: str, count: int) -> str:
    """Why the metric of this name is blank if it is measured on so many examples; empty if they are enough."""
    metric = metric_of(name)
    assert metric is not None, name
    return REASON.format(count=count, least=metric.least) if count < metric.least else ""


def without_few(metrics: Mapping[str, Any], test: int) -> dict[str, Any]:
    """The metrics with blanks for those of too few examples, and for their intervals, and the reasons.

    Metrics that do not say on how many examples they were measured were so on those of the test split, `test`.
    """
    blank: dict[str, str] = {}
    kept = _without_few(metrics, metrics, "", test, blank)
    return {**kept, BLANK: blank} if blank else kept


def _without_few(
    some: Mapping[str, Any], whole: Mapping[str, Any], prefix: str, test: int, blank: dict[str, str]
) -> dict[str, Any]:
    kept = dict(some)
    for key, value in some.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            kept[key] = _without_few(value, whole, f"{name}.", test, blank)
            continue
        metric = metric_of(name)
        if metric is None or value is None or not (reason := _reason(metric, name, whole, test)):
            continue
        blank[name] = reason
        kept |= {each: None for each in (key, f"{key}_low", f"{key}_high") if each in kept}
    return kept


def _reason(metric: Metric, name: str, whole: Mapping[str, Any], test: int) -> str:
    counts = [
        _at(whole, counterpart(name, metric, counted)) for counted in (metric.examples, metric.samples) if counted
    ]
    known = [count for count in counts if isinstance(count, int)]
    fewest = min(known, default=test)
    return REASON.format(count=fewest, least=metric.least) if fewest < metric.least else ""


def _at(metrics: Any, name: str) -> Any:
    """The value under a dotted name, whose parts may have dots themselves."""
    if not isinstance(metrics, Mapping):
        return None
    if name in metrics:
        return metrics[name]
    parts = name.split(".")
    for at in range(1, len(parts)):
        found = _at(metrics.get(".".join(parts[:at])), ".".join(parts[at:]))
        if found is not None:
            return found
    return None


def sentences_about_blanks(metrics: Mapping[str, Any]) -> list[str]:
    """What is blank and why, a sentence for each count that is needed, with the titles of the numbers."""
    titles: dict[int, list[str]] = {}
    for name in metrics.get(BLANK) or ():
        metric = metric_of(name)
        assert metric is not None, name
        titles.setdefault(metric.least, []).append(metric.title)
    return [
        f"Blank, since there are fewer than the {least} examples that are needed: {', '.join(dict.fromkeys(names))}."
        for least, names in sorted(titles.items())
    ]
