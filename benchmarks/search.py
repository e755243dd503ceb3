"""How much a search that learns and stops the weak saves: TPE with ASHA against random search, on the digits.

    python -m benchmarks.search          five seeds of each; needs `make repro` before, for the data and the features
    python -m benchmarks.search tiny     one seed and a few steps, to see that it runs; writes nothing

Both search the same space of a GAN, its loss among it, and judge by the project's own objective, the FID of samples in
features of the validation split. Random search draws its trials from the space and runs each to the end. Compute is
counted in optimiser steps of all trials, and in seconds; what was best after some compute is the lowest FID that any
validation had measured by then, and curves are medians over the seeds. The targets are what random search reaches with
half of its compute and with all of it.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from pipelines.cluster.connect import connected
from pipelines.cluster.search import Report, search
from pipelines.cluster.trials import Journal, TrialResult
from pipelines.data.prepared import Prepared
from pipelines.errors import UserError
from pipelines.params.project import Project
from pipelines.params.reading import parse
from pipelines.params.schema import Params
from pipelines.stages.tune import Trial, space_of

from ._rows import Row, publish

SPACE: dict[str, dict[str, Any]] = {
    "loss": {"choices": ["minimax", "non_saturating", "maximum_likelihood", "least_squares", "hinge"]},
    "learning_rate": {"low": 1e-5, "high": 1e-2, "log": True},
    "discriminator_ratio": {"low": 0.1, "high": 10.0, "log": True},
    "beta1": {"low": 0.0, "high": 0.9},
}
SHARES = (0.25, 0.5, 0.75, 1.0)  # of random search's compute, at which the curves are shown

Sampler = Literal["tpe", "random"]


@dataclass(frozen=True)
class Budget:
    """How much is spent. A search that stops trials early needs more of them to spend as much."""

    seeds: int = 5
    random_trials: int = 18
    tpe_trials: int = 36
    steps: int = 300
    validate_every: int = 50
    grace_steps: int = 50
    reduction_factor: float = 3.0


TINY = Budget(seeds=1, random_trials=2, tpe_trials=4, steps=20, validate_every=5, grace_steps=5)


@dataclass(frozen=True)
class Spent:
    """The lowest FID that was known after so many steps and seconds of a search."""

    steps: int
    seconds: float
    best: float


@dataclass(frozen=True)
class Timed:
    """A trial that reports its seconds, too."""

    trial: Trial

    def __call__(self, rounds: list[dict[str, Any]], report: Report) -> None:
        began = time.perf_counter()
        self.trial(rounds, lambda row: report({**row, "seconds": time.perf_counter() - began}))


def parameters(budget: Budget, sampler: Sampler, seed: int, storage: str) -> Params:
    """A params.yaml of one GAN and its search."""
    stops = sampler == "tpe"
    return parse(
        {
            "defaults": {
                "train": {"batch_size": 64, "schedule": "constant", "ema_decay": 0.95},
                "search": {
                    "sampler": sampler,
                    "trials": budget.tpe_trials if stops else budget.random_trials,
                    "steps": budget.steps,
                    "validate_every": budget.validate_every,
                    "grace_steps": budget.grace_steps if stops else budget.steps,
                    "reduction_factor": budget.reduction_factor,
                    "seed": seed,
                },
            },
            "entries": {
                "gan": {
                    "model": "gan",
                    "config": {"conditional": True, "latent": 16, "width": 16},
                    "search": SPACE,
                },
            },
            "cluster": {"storage": storage},
        }
    )


def searched(budget: Budget, sampler: Sampler, seed: int) -> list[Spent]:
    """Run one search, and say what was best after how much compute."""
    with tempfile.TemporaryDirectory() as storage:
        params = parameters(budget, sampler, seed, storage)
        project = Project(Path.cwd(), params)
        gan = project.entries["gan"]
        trial = Timed(Trial(project, gan, Prepared.open(project.prepared).digest))
        settings = params.defaults.search
        journal, space = Journal(project.storage), space_of(project, gan)
        results = search(sampler, journal, trial, space, settings, params.cluster, Unheard())
    return curve(results, budget)


class Unheard:
    """Is told of trials, and does nothing."""

    def begin(self, number: int, parameters: dict[str, Any]) -> None: ...
    def hear(self, number: int, row: dict[str, float]) -> None: ...
    def end(self, result: TrialResult) -> None: ...


def curve(results: list[TrialResult], budget: Budget) -> list[Spent]:
    """What was best after each validation. A trial that diverged did so by the validation that it did not reach."""
    steps, seconds, best, spent = 0, 0.0, float("inf"), []
    for result in results:
        for row in result.history:
            best = min(best, row["objective"])
            spent.append(Spent(steps + int(row["step"]), seconds + row["seconds"], best))
        last = result.history[-1] if result.history else {"step": 0, "seconds": 0.0}
        steps += int(last["step"]) + (budget.validate_every if result.failure else 0)
        seconds += last["seconds"]
    return spent


def best_after(curves: list[list[Spent]], steps: float) -> float:
    """The median over seeds of the lowest FID known after so many steps."""
    return statistics.median(min(spent.best for spent in each if spent.steps <= steps) for each in curves)


def reached(curves: list[list[Spent]], target: float, cost: Callable[[Spent], float]) -> float:
    """The median over seeds of what it cost to know an FID of the target or less.

    A search that ended above it counts with all that it spent: what it would have cost is more.
    """
    return statistics.median(
        min((cost(spent) for spent in each if spent.best <= target), default=cost(each[-1])) for each in curves
    )


def rows(random: list[list[Spent]], tpe: list[list[Spent]], budget: Budget) -> list[Row]:
    """Both searches side by side."""
    whole = budget.random_trials * budget.steps
    row = partial(Row, other_name="random search", higher_is_better=False, device="cpu", threads=1, runs=budget.seeds)
    costs: list[tuple[str, Callable[[Spent], float]]] = [
        ("steps", lambda spent: spent.steps),
        ("s", lambda spent: spent.seconds),
    ]
    table = []
    for target in (best_after(random, whole / 2), best_after(random, whole)):
        for unit, cost in costs:
            ours, other = reached(tpe, target, cost), reached(random, target, cost)
            table.append(row(f"compute to an FID of {target:.3f}", ours, other, unit=unit))
    for share in SHARES:
        ours, other = best_after(tpe, share * whole), best_after(random, share * whole)
        table.append(row(f"best after {share * whole:.0f} steps", ours, other, unit="FID"))
    return table


def _improvements(spent: list[Spent]) -> str:
    """Every new best of a search, and where it ended."""
    new = [each for before, each in pairwise(spent) if each.best < before.best]
    return ", ".join(f"{each.best:.3f} at {each.steps}" for each in [*new, spent[-1]])


def main() -> None:
    budget = TINY if sys.argv[1:] == ["tiny"] else Budget()
    began = time.perf_counter()
    curves: dict[Sampler, list[list[Spent]]] = {"random": [], "tpe": []}
    try:
        with connected(parameters(budget, "random", 0, ".").cluster):
            for seed in range(budget.seeds):
                for sampler, found in curves.items():
                    found.append(searched(budget, sampler, seed))
                    print(f"{sampler}, seed {seed}: {_improvements(found[-1])}", flush=True)
    except UserError as error:
        sys.exit(f"{error}; the data and the features are made by `make repro`")
    print(f"{time.perf_counter() - began:.0f} s")
    table = rows(curves["random"], curves["tpe"], budget)
    if budget is TINY:
        print(*table, sep="\n")
    else:
        publish("search", table)


if __name__ == "__main__":
    main()
