"""When the data have changed: what a model of before is worth on the new validation split, by the same measure.

So a model that was trained again on fresh data can be compared with the champion. That needs a champion of the same
event: shape, levels, classes, columns. Real columns of a table are stored standardised by the training split, which
has changed, too: with x' = (x σ + μ - μ') / σ' in the old units, the density in the new ones is p'(x') Π_d σ_d / σ'_d.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.catalogue import module_of
from models.contract import Density, Event, Family, Reconstruction

from ..device import device
from ..errors import UserError
from ..evaluation.finished import CONFIG, load_family
from ..evaluation.measurements.subject import Subject
from ..evaluation.metrics.distances import fid
from ..evaluation.metrics.likelihood import Likelihood, score
from ..evaluation.validation import (
    BATCH,
    Batches,
    batches_of,
    draw,
    features_of,
    log_volume,
    reconstruction_error,
    spread_rows,
)
from ..files import read_json
from ..identity import code_digest
from ..serving.local import MODELS
from .champion import NotComparable
from .package import load_served, parts_of

SAME = ("kind", "low", "step", "levels", "values", "gaps")  # of a column's type, beside its mean and std


def objective_on(subject: Subject, folder: Path) -> float:
    """The objective of the model that MLflow saved in a folder, on the validation split of the subject's data.

    Raises `NotComparable` with the reason where there is none.
    """
    found = _objective(subject, folder)
    if not math.isfinite(found):
        raise NotComparable(f"on the new data it measures {found}")
    return found


def _objective(subject: Subject, folder: Path) -> float:
    config = read_json(parts_of(folder)["config"])
    family, scale = _family(folder, config), Scale.between(config, subject)
    with torch.no_grad():
        if isinstance(family, Density):
            return _likelihood(subject, family, scale)
        if isinstance(family, Reconstruction):
            if scale.moved:
                raise NotComparable("the columns are standardised otherwise, and so are errors of reconstructions")
            return reconstruction_error(family, subject.val.batches(BATCH), subject.settings.seed)
        fake = scale.to_new(draw(family, subject.settings.samples, subject.settings.seed))
        return fid(subject.val_features, features_of(subject.features, fake))


def _likelihood(subject: Subject, family: Density, scale: Scale) -> float:
    rows = spread_rows(subject.val, subject.settings.scored)
    batches = list(batches_of(subject.val, rows))
    scores = score(family, _in_old_units(batches, scale), subject.settings.seed)
    gained = torch.cat([scale.log_volume(x) for x, _ in batches]).to(scores)
    return Likelihood.of(scores + gained, log_volume(subject.data)).in_unit_of(subject.event)


def _in_old_units(batches: Sequence[tuple[Tensor, Tensor | None]], scale: Scale) -> Batches:
    return ((scale.to_old(x), labels) for x, labels in batches)


def _family(folder: Path, config: Mapping[str, Any]) -> Family:
    """The family, built by the code of this project, if that makes of its weights the model that was registered."""
    parts = parts_of(folder)
    try:
        family = load_family(parts["config"].parent).to(device())
        if config.get("code_digest") != code_digest(f"models.{module_of(config['model'])}"):
            _check_same(folder, family)
    except (UserError, LookupError, ValueError, TypeError, ImportError) as error:
        why = " ".join(str(error).split())
        raise NotComparable(f"the code has changed since, and makes no model of its weights: {why[:200]}") from error
    return family


def _check_same(folder: Path, family: Family) -> None:
    """Raise `NotComparable` if the family draws other samples than the code that the registered model carries."""
    from ..serving.answers.answering import Answering

    request = {"task": "sample", "n": 4, "seed": 1}
    carried = load_served(parts_of(folder)).answering
    ours = Answering(family, MODELS, read_json(folder / "artifacts" / CONFIG)).answer(None, request)
    if not np.array_equal(np.asarray(carried.answer(None, request)), np.asarray(ours)):
        raise NotComparable("the code of the family has changed since, and makes another model of its weights")


class Scale:
    """From the units in which the new data are stored to those of before: x' = factor x + shift, column by column."""

    def __init__(self, factor: Tensor | None = None, shift: Tensor | None = None) -> None:
        self._factor, self._shift = factor, shift

    @classmethod
    def between(cls, config: Mapping[str, Any], subject: Subject) -> Scale:
        """That of a model's data to the subject's. Raises `NotComparable` for events of another kind or shape."""
        old, new, known = Event.of(config["event"]), subject.event, config.get("data") or {}
        for name in ("shape", "levels", "classes", "ordered"):
            if getattr(old, name) != getattr(new, name):
                raise NotComparable(f"its {name} was {getattr(old, name)}, and is {getattr(new, name)} now")
        for name in ("class_names", "columns"):
            if known.get(name) != subject.data.meaning.get(name):
                raise NotComparable(f"its {name.replace('_', ' ')} are others now")
        types = known.get("types"), subject.data.meaning.get("types")
        return cls() if types[0] is None or types[1] is None else cls._of_types(known["columns"], types[0], types[1])

    @classmethod
    def _of_types(cls, names: Sequence[str], old: Sequence[Any], new: Sequence[Any]) -> Scale:
        pairs = list(zip(names, old, new, strict=True))
        other = [name for name, one, two in pairs if any(one.get(key) != two.get(key) for key in SAME)]
        if other:
            raise NotComparable(f"its columns {', '.join(other)} have other values now")
        real = [(one, two) if one.get("levels") is None and "std" in one else None for _, one, two in pairs]
        factor = [1.0 if each is None else each[1]["std"] / each[0]["std"] for each in real]
        shift = [0.0 if each is None else (each[1]["mean"] - each[0]["mean"]) / each[0]["std"] for each in real]
        if all(each == 1.0 for each in factor) and not any(shift):
            return cls()
        return cls(torch.tensor(factor, dtype=torch.float64), torch.tensor(shift, dtype=torch.float64))

    @property
    def moved(self) -> bool:
        """Do the units differ?"""
        return self._factor is not None

    def to_old(self, x: Tensor) -> Tensor:
        """Examples (N, D) in the units of before."""
        if self._factor is None or self._shift is None:
            return x
        return (x.double() * self._factor.to(x.device) + self._shift.to(x.device)).to(x.dtype)

    def to_new(self, x: Tensor) -> Tensor:
        """Examples (N, D) of before in the units of the new data."""
        if self._factor is None or self._shift is None:
            return x
        return ((x.double() - self._shift.to(x.device)) / self._factor.to(x.device)).to(x.dtype)

    def log_volume(self, x: Tensor) -> Tensor:
        """What is added to the log-likelihoods of examples (N, D), in which a gap has no units: (N,)."""
        if self._factor is None:
            return torch.zeros(len(x), dtype=torch.float64, device=x.device)
        logs = self._factor.log().to(x.device)
        return torch.where(x.isnan(), 0.0, logs).sum(1)
