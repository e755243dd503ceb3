"""What a model can be used for: codes, features for a classifier, completing what is missing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from models.contract import Completion, Features, Latent, Reconstruction

from ..completions import COMPLETED, DRAWN, Completions, chosen, draw, masks
from ..latents import MAPPED, Latents, look_into
from ..metrics.codes import prior_gap, reconstruction_rmse
from ..metrics.completion_error import completion_diversity, completion_error, completion_scores
from ..metrics.probe import FITTED, SCORED, probe_accuracy
from ..validation import BATCH, batches_of, feature_array, reconstruction_error, spread_rows
from .subject import Subject

JUDGED = {"image": 24, "sequence": 8, "vector": 0, "table": 0}  # test examples whose completions are judged
TWICE = 2  # completions of each, whose distance is their diversity


def measure(subject: Subject) -> dict[str, Any]:
    """The linear probe, and the objective of a family that has codes and no likelihood."""
    family, measured = subject.family, dict[str, Any]()
    if isinstance(family, Reconstruction):
        val = subject.val.batches(BATCH)
        measured["objective"] = reconstruction_error(family, val, subject.settings.seed)
    return measured | _probe(subject)


def _probe(subject: Subject) -> dict[str, Any]:
    """How well a linear classifier tells the classes of the test split apart by a family's features."""
    if not isinstance(subject.family, Features) or subject.event.classes < 2:
        return {}
    arrays: list[np.ndarray] = []
    for some, at_most in ((subject.train, FITTED), (subject.test, SCORED)):
        rows = spread_rows(some, at_most)
        assert some.labels is not None
        arrays += [
            feature_array(subject.family, batches_of(some, rows)),
            some.labels[rows.to(some.labels.device)].cpu().numpy(),
        ]
    return {"probe_accuracy": probe_accuracy(*arrays), "probe_features": arrays[0].shape[1]}


def completions(subject: Subject) -> tuple[Completions, dict[str, float | None], dict[str, np.ndarray]]:
    """Completions of a few examples of the test split to be shown, by more of them how good they are, and of each.

    None by a family that cannot complete, or of vectors.
    """
    family, event = subject.family, subject.event
    known = masks(event, subject.settings.seed)
    if not known or not isinstance(family, Completion):
        return Completions.none(event), {}, {}
    shown = _completed(subject, family, COMPLETED[event.kind], DRAWN[event.kind])
    judged = _completed(subject, family, JUDGED[event.kind], TWICE)
    train = subject.train.head(MAPPED)[0].cpu().numpy()
    given = judged.known, judged.x, judged.drawn, train, event.ordered
    scores = completion_scores(*given)
    measured = {
        "completion_score": float(scores.mean()) if len(scores) else None,
        "completion_error": completion_error(*given),
        "completion_diversity": completion_diversity(*given),
        "completion_examples": len(judged.x),
    }
    return shown, measured, {"completion_score": scores}


def _completed(subject: Subject, family: Completion, count: int, each: int) -> Completions:
    """`each` completions of `count` test examples for each mask."""
    labels = None if subject.test.labels is None else subject.test.labels.cpu().numpy()
    x, of_x = subject.test.rows(torch.from_numpy(chosen(len(subject.test), labels, count)))
    seed = subject.settings.seed
    return draw(family, masks(subject.event, seed), x, of_x, each, seed)


def latents(subject: Subject) -> tuple[Latents, dict[str, float | None]]:
    """What is shown of the codes of examples of the test split, and numbers about them; none of a family without."""
    family, settings = subject.family, subject.settings
    if not isinstance(family, Latent):
        return Latents.none(family.event), {}
    at_most = MAPPED if settings.scored is None else min(MAPPED, settings.scored)
    known, learnt = subject.test.rows(spread_rows(subject.test, at_most)), subject.train.head(MAPPED)
    made, coded = look_into(family, family.event, bool(family.classes), known, learnt, settings.seed)
    return made, {
        "reconstruction_rmse": _finite(reconstruction_rmse(known[0], coded.decoded, family.event)),
        "prior_gap": _finite(prior_gap(coded.drawn, coded.prior)),
    }


def _finite(value: float) -> float | None:
    """A number for metrics.json, to a precision that hides errors of rounding; None if it is none."""
    return round(value, 4) if math.isfinite(value) else None
