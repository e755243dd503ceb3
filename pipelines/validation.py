"""What decides, on the validation split, whether a training got better: one number, lower is better."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional as F

from models.classifier import Classifier
from models.contract import Batch, Density, Family, Features
from models.distillation import Distillation
from models.noise import Noise

from .metrics.likelihood import Likelihood, objective_name, score
from .metrics.quality import fid
from .training.examples import Examples
from .training.loop import device

BATCH = 500
FID_SAMPLES = 1000

Validator = Callable[[], dict[str, float]]


def name_of_objective(family: Family) -> str:
    """What a family is validated by: its likelihood if it has one, else the FID of its samples."""
    return objective_name(family.event) if isinstance(family, Density) else "val_fid"


def family_validator(family: Family, val: Examples, classifier: Features, seed: int) -> Validator:
    """Validate a family by `name_of_objective`, with its diagnostics; the same noise each time."""
    real = None if isinstance(family, Density) else feature_array(classifier, val)

    def validate() -> dict[str, float]:
        generator = torch.Generator().manual_seed(seed)
        if isinstance(family, Density):
            objective = Likelihood.of(score(family, val.batches(BATCH), seed)).in_unit_of(family.event)
        else:
            assert real is not None
            samples = family.sample(FID_SAMPLES, generator=generator)
            objective = fid(real, features_of(classifier, samples))
        x, labels = val.head(BATCH)
        diagnostics = family.diagnostics(Batch(x, labels, Noise(generator, len(x), device=x.device)))
        return {"objective": objective, **diagnostics}

    return validate


def divergence_validator(distillation: Distillation, samples: int, seed: int) -> Validator:
    """Validate a student by KL(student ‖ teacher) in nats per dimension, on the same noise each time."""
    u = torch.randn(samples, distillation.event.dimensions, generator=torch.Generator().manual_seed(seed + 1))
    labels = torch.arange(samples) % distillation.classes if distillation.classes else None
    u, labels = u.to(device()), None if labels is None else labels.to(device())

    def validate() -> dict[str, float]:
        kl, standard_error = distillation.estimate(u, labels, BATCH)
        return {"objective": kl, "standard_error": standard_error}

    return validate


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


def features_of(classifier: Features, x: torch.Tensor) -> np.ndarray:
    """Feature vectors (N, F) of examples (N, *event)."""
    with torch.no_grad():
        return torch.cat([classifier.features(part) for part in x.split(BATCH)]).cpu().numpy()


def feature_array(classifier: Features, examples: Examples) -> np.ndarray:
    """Feature vectors (N, F) of a whole split."""
    with torch.no_grad():
        return torch.cat([classifier.features(x) for x, _ in examples.batches(BATCH)]).cpu().numpy()
