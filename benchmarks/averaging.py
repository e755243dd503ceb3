"""What the first rung of a search keeps, with and without a warm-up of the moving average of weights.

    python -m benchmarks.averaging          five searches; needs `make repro` before, for the data and the features
    python -m benchmarks.averaging tiny     one short search, to see that it runs; writes nothing

The GAN search of the project, as params.yaml has it, of trials at random that all run to the end. Each trial is
validated at the first rung and at the end with four averages of its weights: of decay 0.99 and 0.999, with
d = min(decay, (1+t)/(10+t)) as trainings have it, and with d = decay from the first step on. A rung is right if what it
keeps has the trial in it that is best at the end, by the average that trainings have.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from itertools import product
from random import Random
from typing import Any

import torch
from torch import Tensor

from pipelines.data.prepared import Prepared
from pipelines.params.entry import Entry
from pipelines.params.project import Project
from pipelines.params.schema import Dimension, Loop
from pipelines.storage import Folder
from pipelines.training.jobs import trial_job
from pipelines.training.loop import Training

from ._rows import Row, publish

DECAYS = (0.99, 0.999)
SEARCHES, TRIALS = 5, 6
Average = tuple[float, bool]  # its decay, and whether it is warmed up


@dataclass
class Averaged:
    """A moving average of the weights of a training."""

    decay: float
    warmed: bool
    weights: dict[str, Tensor]

    def move(self, weights: dict[str, Tensor], step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step)) if self.warmed else self.decay
        for key, value in weights.items():
            if value.is_floating_point():
                self.weights[key].lerp_(value, 1 - decay)
            else:
                self.weights[key].copy_(value)


def drawn(space: dict[str, Dimension], random: Random) -> dict[str, Any]:
    """A value of each searched parameter; those of the GAN are numbers on a logarithmic scale."""
    found = {}
    for key, each in space.items():
        assert each.low is not None
        assert each.high is not None
        found[key] = each.low * (each.high / each.low) ** random.random()
    return found


def trial(project: Project, entry: Entry, rung: int, steps: int, seed: int) -> dict[Average, tuple[float, float]]:
    """The objective at the rung and at the end, by each average."""
    job = trial_job(project, entry, Prepared.open(project.prepared))
    torch.manual_seed(seed)
    with tempfile.TemporaryDirectory() as folder:
        loop = Loop(**{**{key: getattr(job.loop, key) for key in Loop.model_fields}, "steps": steps, "ema_decay": 0.0})
        training = Training(job.make(project), loop, seed, Folder(folder))
        start = training.module.state_dict()
        averages = {
            (decay, warmed): Averaged(decay, warmed, {key: value.clone() for key, value in start.items()})
            for decay, warmed in product(DECAYS, (True, False))
        }
        seen: dict[Average, list[float]] = {key: [] for key in averages}
        for step in range(steps):
            training._step()
            for each in averages.values():
                each.move(training.module.state_dict(), step)
            if step + 1 in (rung, steps):
                for key, each in averages.items():
                    seen[key].append(validated(training, each.weights))
    return {key: (first, last) for key, (first, last) in seen.items()}


@torch.no_grad()
def validated(training: Training, weights: dict[str, Tensor]) -> float:
    """The objective of a training with other weights."""
    own = {key: value.clone() for key, value in training.module.state_dict().items()}
    training.module.load_state_dict(weights)
    training.module.eval()
    objective = training.task.validate()["objective"]
    training.module.load_state_dict(own)
    return objective


def main() -> None:
    tiny = sys.argv[1:] == ["tiny"]
    torch.set_num_threads(1)
    project = Project.here()
    entry, settings = project.entries["gan"], project.params.defaults.search
    rung, steps = (2, 4) if tiny else (settings.grace_steps, settings.steps)
    right: dict[Average, int] = dict.fromkeys(product(DECAYS, (True, False)), 0)
    searches, trials = (1, 2) if tiny else (SEARCHES, TRIALS)
    for seed in range(searches):
        random = Random(seed)
        found = [
            trial(project, entry.with_values(drawn(dict(entry.space), random)), rung, steps, seed)
            for _ in range(trials)
        ]
        for average in right:
            at_rung, at_end = zip(*(each[average] for each in found), strict=True)
            true_end = [each[average[0], True][1] for each in found]
            kept = sorted(range(trials), key=lambda k: at_rung[k])[: max(1, int(trials / settings.reduction_factor))]
            best = min(range(trials), key=lambda k: true_end[k])
            right[average] += best in kept
            shown = [f"{first:.3f} → {last:.3f}" for first, last in zip(at_rung, at_end, strict=True)]
            print(f"search {seed}, decay {average[0]}, warm-up {average[1]}: {'; '.join(shown)}", flush=True)
    table = [
        Row(
            f"first rung keeps the best, decay {decay}",
            right[decay, True],
            right[decay, False],
            "without warm-up",
            f"of {searches} searches",
            True,
            "cpu",
            1,
            searches,
        )
        for decay in DECAYS
    ]
    if tiny:
        print(*table, sep="\n")
    else:
        publish("averaging", table)


if __name__ == "__main__":
    main()
