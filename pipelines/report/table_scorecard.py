"""The scorecard of a table, as the page shows it: its lines in words, and what is to be known of the attacks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..evaluation.metrics.metric_catalogue import metric_of
from ..evaluation.metrics.numerals import number
from ..evaluation.results import SCORECARD
from ..evaluation.tables.scorecard import TABLES
from ..files import read_json
from .page import Judged

BEST_OF = {"higher": "1 is best", "lower": "0 is best", "half": "½ is best", "expected": "no more than real rows"}
LEARNT = "learnt_", "Trained on samples, {}", "What a predictor reaches on test rows that learnt from the rows."
INFERENCE = (
    "inference_", "Inference of {}",
    "The risk that this column of a training row is guessed from its other columns, by the nearest sample.",
)  # fmt: skip
NAMED = {
    "associated_pair_trends": (
        "Pair trends of associated columns", "The mean over those pairs of columns that hang together in training rows."
    ),
    "singling_out": (
        "Singling out", "The risk that a query which is found in samples matches exactly one training row."
    ),
    "linkability": (
        "Linkability", "The risk that two halves of the columns of a training row are found to be one person's, by "
        "their nearest samples.",
    ),
}  # fmt: skip


def scorecard_lines(folder: Path) -> list[Judged]:
    """The lines of the scorecard that `evaluate` has left; none of other data than tables."""
    return [_judged(line) for line in _card(folder).get("lines", ())]


def _card(folder: Path) -> dict[str, Any]:
    """The whole scorecard; nothing of other data than tables."""
    return dict(read_json(folder / SCORECARD)) if (folder / SCORECARD).is_file() else {}


def scorecard_notes(folder: Path) -> list[str]:
    """Sentences about the attacks: of how many the risks are, which of them say little, or why there are none."""
    card = _card(folder)
    if not card:
        return []
    attacks = card["synthetic"]["attacks"]
    named = {"singling_out": attacks["singling_out"], "linkability": attacks["linkability"]}
    named |= {f"{INFERENCE[0]}{column}": risk for column, risk in attacks["inference"].items()}
    if attacks["reason"]:
        return [f"{', '.join(_words(name)[0] for name in named)}: not measured, since {attacks['reason']}."]
    made = (
        f"Risks are of {attacks['attacks']:,} attacks of each kind on {attacks['real_rows']:,} different training "
        f"rows, and as many on as many test rows, by those who have {attacks['synthetic_rows']:,} samples. A risk is "
        "how much better attacks do on training rows than on test rows: 0 where samples say no more of the rows that "
        "they were made from than of any others, 1 where they say all. Below it stands its interval of 95 %."
    )
    weak = [_words(name)[0] for name, risk in named.items() if risk["weak"]]
    guessed = "these attacks did no better than guessing, so a low risk may be the fault of the attack."
    return [made, *([f"{', '.join(weak)}: {guessed}"] if weak else [])]


def _judged(line: Mapping[str, Any]) -> Judged:
    title, about = _words(line["name"])
    cells = [(_text(line[table]), _interval(line["intervals"].get(table))) for table in TABLES]
    return Judged(title, line["reason"] or about, BEST_OF[line["better"]], cells)


def _words(name: str) -> tuple[str, str]:
    """The title of a line, and what it is."""
    metric = metric_of(name)
    if metric is not None:
        return metric.title, metric.help
    for prefix, title, about in (LEARNT, INFERENCE):
        if name.startswith(prefix):
            return title.format(name.removeprefix(prefix)), about
    return NAMED[name]


def _text(value: float | None) -> str:
    return "" if value is None else number(value, 3)


def _interval(ends: tuple[float, float] | None) -> str:
    return "" if ends is None else f"{number(ends[0], 2)} to {number(ends[1], 2)}"
