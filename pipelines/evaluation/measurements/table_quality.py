"""How good and how private the synthetic rows of a table are, in the values that its owner has."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
import torch

from ...data.prepared import Prepared
from ...data.tables.typed_rows import NAMED, decode_rows
from ...errors import UserError
from ..metrics.threads import one_thread
from ..tables.column_kinds import ROWS, Columns, Kind
from ..tables.scorecard import Scorecard, scorecard
from ..validation import draw
from .subject import Subject

LINES = (  # of the scorecard that are metrics of an entry
    "column_shapes", "pair_trends", "two_sample_auc", "category_coverage", "range_coverage", "pairs_kept",
    "closer_to_train", "near_copies", "exact_copies", "membership_auc",
)  # fmt: skip
LEARNT = ("f1", "r2", "accuracy")  # what a predictor of the target reaches; the first that there is


def judge(subject: Subject) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Numbers by their names in metrics.json, and the whole scorecard; nothing of other data than tables."""
    if subject.event.kind != "table":
        return {}, None
    data, seed, labelled = subject.data, subject.settings.seed, bool(subject.family.classes)
    rows, kinds = min(len(subject.train), ROWS), kinds_of(data, labelled)
    target = _target(subject, kinds)
    made, labels = _made(subject, min(subject.settings.samples, rows))
    train, test = (
        frame_of(data, x, y if labelled else None, seed) for x, y in (subject.train.head(rows), subject.test.head(ROWS))
    )
    with one_thread():
        card = scorecard(train, test, frame_of(data, made, labels, seed), kinds, target, seed=seed)
    return _numbers(card), asdict(card)


def _made(subject: Subject, count: int) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Samples, and the labels that they were drawn with, which have the shares of the training rows."""
    family, seed = subject.family, subject.settings.seed
    if not family.classes:
        return subject.samples[:count], None
    labels = torch.from_numpy(np.random.default_rng(seed).choice(family.classes, count, p=family.label_shares))
    return draw(family, count, seed, labels), labels


def _target(subject: Subject, kinds: Columns) -> str | None:
    """The column that is predicted: the one that the parameters name, or the label of a conditional model."""
    asked = subject.settings.target
    if asked is not None and asked not in kinds:
        raise UserError(f"params.yaml: evaluate.target: {asked!r} is no column; there are: {', '.join(kinds)}")
    label: str | None = subject.data.meta["label"] if subject.family.classes else None
    return asked or label


def kinds_of(data: Prepared, labelled: bool = False) -> dict[str, Kind]:
    """What the columns are, as the scorecard calls it; the label of rows that have theirs is a category."""
    found: dict[str, Kind] = {
        column["name"]: "category" if column["type"]["kind"] in NAMED else "number" for column in data.meta["columns"]
    }
    return found | ({data.meta["label"]: "category"} if labelled else {})


def frame_of(data: Prepared, x: torch.Tensor, labels: torch.Tensor | None, seed: int) -> pd.DataFrame:
    """Rows (N, D) in the values of the data, with their labels (N,) if they are given; of dates the seconds."""
    columns = data.meta["columns"]
    types = [
        {**column["type"], "kind": "real"} if column["type"]["kind"] == "date" else column["type"] for column in columns
    ]
    frame = decode_rows(x.cpu().numpy(), [column["name"] for column in columns], types, seed)
    if labels is not None:
        names = np.array(data.meta["class_names"], dtype=object)
        frame[data.meta["label"]] = names[labels.cpu().numpy()]
    return frame


def _numbers(card: Scorecard) -> dict[str, Any]:
    """Those of the samples, by name; what predictors reach that were trained on them, and on real rows."""
    lines = {line.name: line for line in card.lines}
    measured: dict[str, Any] = {name: lines[name].synthetic for name in LINES}
    measured |= {f"real_{name}": lines[name].real for name in ("column_shapes", "pair_trends")}
    learnt = card.synthetic.target
    score = next((name for name in LEARNT if learnt and learnt.on_synthetic.get(name) is not None), None)
    if learnt is not None and score is not None:
        measured |= {
            "synthetic_score": learnt.on_synthetic[score],
            "real_score": learnt.on_real[score],
            "score_name": {"f1": "F1", "r2": "R²"}.get(score, score),
            "score_examples": learnt.train_rows,
        }
    return measured | {"scorecard_rows": card.rows}
