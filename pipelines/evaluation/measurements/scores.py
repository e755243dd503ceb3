"""How likely a density finds test examples, each class of them, and examples that are none of this data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.contract import Density

from ...data.examples import Examples
from ...data.rows import Rows
from ...data.spread import spread
from ...device import device
from ...errors import UserError
from ..metrics.likelihood import Likelihood, bayes_accuracy, score, score_classes, unit_name
from ..metrics.outliers import auroc, foreign_examples, typicality
from ..validation import Batches, batches_of, log_volume, spread_rows
from .subject import Subject

BLANK = ("nll_bits_per_dim", "nll_nats", "nll_standard_error", "nll_kind", "nll_bound")
FOREIGN = 100  # examples of each foreign set, and of the validation split, which says what is typical


def measure(subject: Subject) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Likelihood on test, and on val for the objective; blank for families without a density. And that of each example.

    It is that of the data as it is, and of vectors that of the data standardised by the training split.
    The likelihood of a conditional model is that of p(x), its labels summed out: comparable with unconditional ones.
    """
    family, event = subject.family, subject.event
    if not isinstance(family, Density):
        return dict.fromkeys(BLANK), {}
    seed, volume, unit = subject.settings.seed, log_volume(subject.data), unit_name(event)
    draws = subject.settings.draws
    rows = spread_rows(subject.test, subject.settings.scored)
    labels = None if subject.test.labels is None else subject.test.labels[rows.to(subject.test.labels.device)]
    by_class: dict[str, Any] = {}
    if family.classes:
        scores = score_classes(family, batches_of(subject.test, rows), seed, draws)
        assert labels is not None
        given = Likelihood.of(scores.gather(1, labels[:, None].long())[:, 0], volume)
        by_class = {
            "bayes_accuracy": bayes_accuracy(family.joint(scores), labels),
            f"conditional_{unit}": given.in_unit_of(event),
        }
        log_probs = family.joint(scores).logsumexp(1)
    else:
        log_probs = score(family, batches_of(subject.test, rows), seed, draws)
    likelihood = Likelihood.of(log_probs, volume)
    low, high = likelihood.interval_in_unit_of(event)
    val_rows = spread_rows(subject.val, subject.settings.scored)
    objective = Likelihood.of(score(family, batches_of(subject.val, val_rows), seed), volume)
    measured = {
        "nll_bits_per_dim": None if event.levels is None else likelihood.bits_per_dim(event),
        "nll_nats": likelihood.nats,
        "nll_standard_error": likelihood.standard_error,
        f"{unit}_low": low,
        f"{unit}_high": high,
        "nll_kind": "exact" if family.bound is None else "bound",
        "nll_bound": _bound(family, draws),
        "nll_examples": likelihood.count,
        **by_class,
        **({} if labels is None else _by_class(subject, log_probs, labels, volume)),
        "outliers": _outliers(subject, family, log_probs, volume),
        "objective": objective.in_unit_of(event),
        "objective_bound": _bound(family, draws=1),
    }
    return measured, {"nll": -(log_probs.double().cpu().numpy() + volume)}


def _by_class(subject: Subject, log_probs: Tensor, labels: Tensor, volume: float) -> dict[str, Any]:
    """The likelihood of the test examples of each class that has any, by its name, and how many these are."""
    names = subject.data.meta["class_names"]
    found = {
        names[label]: Likelihood.of(log_probs[labels.to(log_probs.device) == label], volume)
        for label in labels.unique().tolist()
    }
    return {
        "nll_by_class": {name: each.in_unit_of(subject.event) for name, each in found.items()},
        "nll_by_class_examples": {name: each.count for name, each in found.items()},
    }


def _outliers(subject: Subject, family: Density, of_test: Tensor, volume: float) -> dict[str, dict[str, float]]:
    """For each foreign set its likelihood, and how well the density tells it from the test split."""
    event, seed, draws = subject.event, subject.settings.seed, subject.settings.draws
    test, _ = subject.test.head(FOREIGN)
    train = spread_rows(subject.train, FOREIGN)
    val = spread_rows(subject.val, FOREIGN)  # training examples are likelier than others, as far as they are learnt
    of_val = log_probs(family, batches_of(subject.val, val), seed, draws)
    sets = foreign_examples(event, test.cpu().numpy(), subject.train.rows(train)[0].cpu().numpy(), seed)
    if subject.settings.foreign is not None:
        sets["own"] = _own(subject, subject.project.root / subject.settings.foreign)
    found = {}
    for name, x in sets.items():
        foreign = Examples(x, None, device())
        of_foreign = log_probs(family, batches_of(foreign, torch.arange(len(x))), seed, draws)
        found[name] = {
            "nll": Likelihood.of(of_foreign, volume).in_unit_of(event),
            "likelihood_auroc": auroc(of_test, of_foreign),
            "typicality_auroc": auroc(typicality(of_test, of_val), typicality(of_foreign, of_val)),
            "examples": len(x),
        }
    return found


def _own(subject: Subject, path: Path) -> np.ndarray:
    """A few examples of the file that the parameters name. Raises `UserError` for examples of another kind."""
    where = "params.yaml: evaluate.foreign"
    if not path.is_file():
        raise UserError(f"{where}: {path}: there is no such file; give a .npy file of examples, or null")
    rows, event = Rows(path), subject.event
    right = rows.shape[1:] == event.shape and (rows.dtype == np.uint8 if event.levels else rows.dtype.kind == "f")
    if not right or not len(rows):
        raise UserError(
            f"{where}: {path}: holds {rows.dtype} {rows.shape}; it must hold"
            f" {'uint8' if event.levels else 'float32'} (N, {', '.join(map(str, event.shape))})"
        )
    x = rows.take(spread(len(rows), FOREIGN))
    if event.levels is not None and x.max() >= event.levels:
        raise UserError(f"{where}: {path}: holds {x.max()}; levels must be 0 … {event.levels - 1}")
    return x


def _bound(family: Density, draws: int) -> str | None:
    """What the bound is called, with the draws over which it is averaged."""
    if family.bound is None or not family.unbiased:
        return family.bound
    return f"{family.bound}, {draws} draw{'s' * (draws != 1)}"


def log_probs(family: Density, batches: Batches, seed: int, draws: int = 1) -> Tensor:
    """log p(x) (N,), the labels of a conditional model summed out."""
    if not family.classes:
        return score(family, batches, seed, draws)
    return family.joint(score_classes(family, batches, seed, draws)).logsumexp(1)
