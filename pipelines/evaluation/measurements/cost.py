"""What an entry costs: operations, whatever the machine, and the speeds of this one."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from models.contract import Density, Family

from ...device import device
from ...files import read_json
from ..finished import METRICS, parameter_count
from ..metrics.operations import flops
from ..metrics.throughput import examples_per_second
from .subject import Subject


def measure(subject: Subject) -> dict[str, Any]:
    """What is the same on every machine: steps, operations, weights, passes one after the other."""
    trained, family = read_json(subject.origin / METRICS), subject.family
    return {
        "train_flops": trained.get("train_flops"),
        "train_steps": trained["steps"],
        "parameters": parameter_count(family),
        "sampling_flops": sampling_flops(family),
        "sampling_passes": family.sampling_passes,
        "scoring_passes": family.scoring_passes if isinstance(family, Density) else None,
    }


def sampling_flops(family: Family) -> int:
    """Floating-point operations of one sample."""
    return flops(partial(family.sample, 1, generator=torch.Generator().manual_seed(0)))


def speeds(subject: Subject) -> dict[str, Any]:
    """Examples per second by batch size; those of the largest batches under names of their own, and what they hold for.

    A conditional density is given a label: p(x) itself takes as many scores as there are labels.
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
        "speed_batch": settings.speed_batch,
        "speed_device": str(device()),
        "speed_threads": torch.get_num_threads(),
    }
