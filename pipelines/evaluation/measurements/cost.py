"""What an entry costs: to train, to store, to sample from and to score with."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from models.contract import Density, Family

from ...device import device
from ...files import read_json
from ..finished import parameter_count
from ..metrics.operations import flops
from ..metrics.throughput import examples_per_second
from .subject import Subject

TRAINING = ("train_seconds", "train_examples_per_s", "train_peak_mib", "train_flops")  # as the training's metrics.json


def measure(subject: Subject) -> dict[str, Any]:
    """Seconds, memory and operations of the training; speeds of sampling and scoring, with what they hold for."""
    trained = read_json(subject.origin / "metrics.json")
    return {
        **{name: trained.get(name) for name in TRAINING},
        "train_steps": trained["steps"],
        "parameters": parameter_count(subject.family),
        "sampling_flops": sampling_flops(subject.family),
        **_speeds(subject),
    }


def sampling_flops(family: Family) -> int:
    """Floating-point operations of one sample."""
    return flops(partial(family.sample, 1, generator=torch.Generator().manual_seed(0)))


def _speeds(subject: Subject) -> dict[str, Any]:
    """Examples per second by batch size; those of the largest batches under names of their own.

    A conditional density is told a label: p(x) itself takes as many scores as there are labels.
    """
    settings, family = subject.settings, subject.family
    sampling: dict[str, float] = {}
    scoring: dict[str, float] = {}
    for batch in sorted({*settings.small_batches, settings.speed_batch}):
        (sampling[str(batch)],) = examples_per_second([partial(family.sample, batch)], batch, settings.speed_runs)
        if isinstance(family, Density):
            x, labels = subject.train.rows(torch.arange(batch) % len(subject.train))
            call = partial(family.log_prob, x, labels)
            (scoring[str(batch)],) = examples_per_second([call], batch, settings.speed_runs)
    shown = str(settings.speed_batch)
    return {
        "samples_per_s": sampling[shown],
        "log_probs_per_s": scoring.get(shown),
        "sampling_speed": sampling,
        "scoring_speed": scoring,
        "sampling_passes": family.sampling_passes,
        "scoring_passes": family.scoring_passes if isinstance(family, Density) else None,
        "speed_batch": settings.speed_batch,
        "speed_device": str(device()),
        "speed_threads": torch.get_num_threads(),
    }
