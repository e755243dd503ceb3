"""What decides, on the validation split, whether a training got better: one number, lower is better."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch.nn import functional as F

from models.classifier import Classifier
from models.contract import Batch, Density, Event, Family, Features, Reconstruction
from models.noise import Noise
from models.principal import PrincipalComponents

from ..data.examples import Examples
from ..data.prepared import Prepared
from ..data.spread import spread
from .metrics.collapse import classes_covered, collapse_concerns, mean_distance
from .metrics.distances import fid
from .metrics.likelihood import Likelihood, objective_name, score

BATCH = 500
FID_SAMPLES = 1000

Validator = Callable[[], dict[str, float]]
Batches = Iterator[tuple[torch.Tensor, torch.Tensor | None]]


def name_of_objective(family: type[Family], event: Event) -> str:
    """What a family is validated by: its likelihood if it has one, or what its codes lose, else the FID of samples."""
    if issubclass(family, Density):
        return objective_name(event)
    return "val_reconstruction_error" if issubclass(family, Reconstruction) else "val_fid"


def log_volume(data: Prepared) -> float:
    """What makes log-likelihoods of vectors those of standardised ones: Σ_d log σ_d; 0 for integers.

    The real columns of a table are stored standardised.
    """
    if data.meta["kind"] == "table":
        return 0.0
    return sum(math.log(column["std"]) for column in data.meta["columns"] or ())


def family_validator(
    family: Family, val: Examples, features: Features | None, seed: int, log_volume: float
) -> Validator:
    """Validate a family by `name_of_objective`, with its diagnostics; the same noise each time.

    Where samples decide, which `features` are given for, they are watched for mode collapse.
    """
    real = np.empty(0) if features is None else feature_array(features, val.batches(BATCH))

    def validate() -> dict[str, float]:
        generator, watched = torch.Generator().manual_seed(seed), dict[str, float]()
        if isinstance(family, Density):
            scores = score(family, val.batches(BATCH), seed)
            objective = Likelihood.of(scores, log_volume).in_unit_of(family.event)
        elif isinstance(family, Reconstruction):
            objective = reconstruction_error(family, val.batches(BATCH), seed)
        else:
            assert features is not None
            samples = family.sample(FID_SAMPLES, generator=generator)
            fake = features_of(features, samples)
            objective, watched = fid(real, fake), collapse(features, real, fake)
        x, labels = val.head(BATCH)
        diagnostics = family.diagnostics(Batch(x, labels, Noise(generator, len(x), device=x.device)))
        return {"objective": objective, **watched, **diagnostics}

    return validate


def family_concerns(family: Family, measured: Mapping[str, float]) -> list[str]:
    """What is wrong with a family, by what its validation measured."""
    return [*collapse_concerns(measured, family.event.classes), *family.concerns(measured)]


def collapse(features: Features, real: np.ndarray, fake: np.ndarray) -> dict[str, float]:
    """The diversity of samples and, if a classifier made the features (N, F), how many classes they cover."""
    if not np.isfinite(fake).all():
        return {}
    whole = mean_distance(real)
    measured = {"diversity": mean_distance(fake) / whole} if whole > 0 else {}
    if isinstance(features, Classifier):
        of_real, of_fake = classified(features, real), classified(features, fake)
        measured["classes_covered"] = classes_covered(of_real, of_fake, features.event.classes)
    return measured


@torch.no_grad()
def classified(classifier: Classifier, features: np.ndarray) -> np.ndarray:
    """The most likely labels (N,) of examples with these features (N, F), as a classifier sees them."""
    logits: torch.Tensor = classifier.head(torch.from_numpy(features).to(classifier.head.weight))
    return logits.argmax(1).cpu().numpy()


@torch.no_grad()
def reconstruction_error(family: Reconstruction, batches: Batches, seed: int) -> float:
    """What the codes of a family lose, on average over examples, with the noise of a seed."""
    generator, errors = torch.Generator().manual_seed(seed), []
    for x, labels in batches:
        noise = Noise(generator, len(x), device=x.device)
        errors.append(family.reconstruction_error(Batch(x, labels, noise)).double())
    return torch.cat(errors).mean().item()


def classification_validator(model: Classifier, val: Examples) -> Validator:
    """Validate the classifier by its cross-entropy; its accuracy goes with it."""

    def validate() -> dict[str, float]:
        entropy, right = 0.0, 0
        for x, labels in val.batches(BATCH):
            assert labels is not None
            logits = model.logits(x)
            entropy += F.cross_entropy(logits, labels.long(), reduction="sum").item()
            right += int((logits.argmax(1) == labels).sum())
        return {"objective": entropy / len(val), "accuracy": right / len(val)}

    return validate


@torch.no_grad()
def explained_variance(model: PrincipalComponents, batches: Batches) -> float:
    """The share of the variance of examples, around the mean of the training split, that the components hold."""
    lengths = [torch.stack(model.squared_lengths(x)).double().sum(1) for x, _ in batches]
    kept, whole = torch.stack(lengths).sum(0).tolist()
    return min(1.0, kept / whole) if whole > 0 else 1.0  # rounding can exceed it


def batches_of(examples: Examples, index: torch.Tensor) -> Batches:
    """The examples of some rows, and their labels if there are any, a batch at a time."""
    return (examples.rows(part) for part in index.split(BATCH))


def spread_rows(examples: Examples, at_most: int | None) -> torch.Tensor:
    """The rows of a split on which something is measured: all, or `at_most` of them, evenly spread."""
    return torch.from_numpy(spread(len(examples), len(examples) if at_most is None else at_most))


def draw(family: Family, n: int, seed: int, labels: torch.Tensor | None = None) -> torch.Tensor:
    """n samples (n, *event) by a seed, of these labels (n,) if any, a batch at a time: the same as in one call."""
    generator = torch.Generator().manual_seed(seed)
    parts: Sequence[torch.Tensor | None] = [None] * -(-n // BATCH) if labels is None else labels.split(BATCH)
    counts = [min(BATCH, n - done) for done in range(0, n, BATCH)]
    return torch.cat([family.sample(*part, generator=generator) for part in zip(counts, parts, strict=True)])


def features_of(features: Features, x: torch.Tensor) -> np.ndarray:
    """Feature vectors (N, F) of examples (N, *event)."""
    return feature_array(features, ((part, None) for part in x.split(BATCH)))


@torch.no_grad()
def feature_array(features: Features, batches: Batches) -> np.ndarray:
    """Feature vectors (N, F) of batches of examples."""
    return torch.cat([features.features(x) for x, _ in batches]).cpu().numpy()
