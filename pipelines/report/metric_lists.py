"""The lists in docs/metrics.md, made of the catalogue of metrics.

`python -m pipelines.report.metric_lists` writes them, each between two comments, of which the first names its group:

    <!-- metrics: Likelihood -->
    <!-- end -->
"""

from __future__ import annotations

import re
from pathlib import Path

from ..evaluation.metrics.metric_catalogue import METRICS, Metric
from ..files import write_text

PAGE = Path("docs/metrics.md")
LIST = re.compile(r"(<!-- metrics: (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)
BETTER = {"lower": "low", "higher": "high", "half": "½", None: ""}


def with_lists(text: str) -> str:
    """The page with its lists as the catalogue has them. Raises `KeyError` for a group that there is not."""
    return LIST.sub(lambda found: f"{found[1]}{table(found[2])}{found[3]}", text)


def table(group: str) -> str:
    """The metrics of a group, a line each, in Markdown."""
    rows = [_row(metric) for metric in METRICS.values() if metric.group == group]
    if not rows:
        raise KeyError(f"there are no metrics of the group {group!r}")
    head = "| name | unit, or how to read it | best | what it is |\n|---|---|---|---|\n"
    return head + "".join(rows)


def _row(metric: Metric) -> str:
    words = metric.help if not metric.source else f"{metric.help} {metric.source[:1].upper()}{metric.source[1:]}."
    words += f" Blank of fewer than {metric.least} examples." if metric.least else ""
    cells = (f"`{metric.name}`", metric.reading, BETTER[metric.better], words)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


if __name__ == "__main__":
    write_text(PAGE, with_lists(PAGE.read_text(encoding="utf-8")))
