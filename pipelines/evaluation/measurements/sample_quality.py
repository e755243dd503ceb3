"""How good samples are, in features, and of tables column by column; and what they were copied from."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from models.contract import Density, Reconstruction

from ...data.examples import Examples
from ...data.spread import spread
from ...errors import UserError
from ..metrics.distances import fid, kid, prdc
from ..metrics.intervals import around, fid_without, kid_without
from ..metrics.memorisation import copied, memorisation
from ..metrics.tables import ROWS, correlation_distance, marginal_distance, score_on_real
from ..metrics.two_sample import two_sample_auc
from ..validation import collapse, draw
from .subject import Subject

BLANK = ("fid", "kid", "precision", "recall", "density", "coverage")


def measure(subject: Subject) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Distances between the samples and the test split, in features; blank where samples overflow.

    And FID and KID without each block of the test examples and of the samples.
    """
    settings, (fake, real, train) = subject.settings, subject.in_features
    measured: dict[str, Any] = {
        **dict.fromkeys(BLANK),
        "fid_features": subject.named_features[1],
        "fid_samples": len(fake),
        "fid_references": len(real if settings.fid_reference == "test" else train),
        "fid_reference": settings.fid_reference,
    }
    if not np.isfinite(fake).all():
        broken = int((~np.isfinite(fake).all(1)).sum())
        print(f"warning: {broken} of {len(fake)} samples are not finite: their quality is not measured")
        return {**measured, "broken_samples": broken}, {}
    count = min(len(real), len(fake))  # balls are comparable only between sets of one size
    if count <= settings.neighbours:
        raise UserError(
            f"params.yaml: evaluate.neighbours: {settings.neighbours} is not allowed: must be less than the samples and"
            f" the test examples that they are compared with, {count}"
        )
    against = real if settings.fid_reference == "test" else train
    distances = fid(against, fake), kid(against, fake)
    without = fid_without(against, fake), kid_without(against, fake)
    of_fid, of_kid = (around(*each) for each in zip(distances, *zip(*without, strict=True), strict=True))
    measured |= {
        "fid": distances[0],
        "fid_low": max(0.0, of_fid[0]),
        "fid_high": of_fid[1],
        "kid": distances[1],
        "kid_low": of_kid[0],
        "kid_high": of_kid[1],
        **prdc(real[spread(len(real), count)], fake[:count], settings.neighbours),
        "prdc_examples": count,
        **collapse(subject.features, real, fake),
        "memorisation": memorisation(fake, real, train),
        "copied": copied(fake, real, train),
    }
    if not isinstance(subject.family, Density | Reconstruction):  # of others the objective is no matter of samples
        measured["objective"] = fid(subject.val_features, fake)
    parts = zip(("fid", "kid"), without, strict=True)
    blocks = {f"{name}_{of}": each for name, both in parts for of, each in zip(("real", "fake"), both, strict=True)}
    return measured | _of_tables(subject), blocks


def _of_tables(subject: Subject) -> dict[str, Any]:
    """Distances of the columns of a table, and what samples are worth as training data; nothing for other data."""
    if subject.data.meta["channels"] != "columns" or subject.event.kind == "table":
        return {}
    seed = subject.settings.seed
    test, of_test = _rows(subject.test, subject.settings.references)
    samples = subject.samples.cpu().numpy()
    measured = {
        "marginal_distance": marginal_distance(samples, test),
        "correlation_distance": correlation_distance(samples, test),
        "two_sample_auc": two_sample_auc(samples, test, seed),
    }
    train, of_train = _rows(subject.train, ROWS)
    labels = of_train if subject.family.classes else None
    given = None if labels is None else torch.from_numpy(labels)
    made = draw(subject.family, len(train), seed, given).cpu().numpy()
    return measured | {
        "synthetic_score": score_on_real(made, labels, test, of_test),
        "real_score": score_on_real(train, labels, test, of_test),
        "score_name": "R²" if labels is None else "accuracy",
        "score_examples": len(train),
    }


def _rows(some: Examples, at_most: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Evenly spread rows of a split, and their labels, if there are any."""
    x, labels = some.head(at_most)
    return x.cpu().numpy(), None if labels is None else labels.cpu().numpy()
