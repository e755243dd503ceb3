"""Every adversarial loss of the GAN family at work: which modes and classes it finds, how good its samples are.

    python -m benchmarks.adversarial ring     a ring of eight Gaussians, where it is known what should come out
    python -m benchmarks.adversarial digits   scikit-learn's digits, after `make repro` has prepared them

Each loss is trained by the project's own loop with five seeds, with the same networks and as many steps; a step is a
move of the discriminator. Learning rates, momenta and penalties are those of the tables below, found with single seeds
by hand. What is shown is the mean over the seeds that did not diverge ± its standard error, and how many diverged.

The ring (Metz et al., "Unrolled GANs", 2016, arXiv:1611.02163) has a radius of 2 and standard deviations of 0.02. Of
2,500 samples those within three standard deviations of a mode are of high quality, and a mode is covered that has any
(Srivastava et al., "VEEGAN", 2017, arXiv:1705.07761; Lin et al., "PacGAN", 2017, arXiv:1712.04086). A sampler that
spreads over the whole ring covers all modes with few samples of high quality, so a second count asks for a quarter of
a mode's fair share. On the digits a class is covered if the classifier gives it a tenth of its fair share.
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from models.classifier import Classifier
from models.contract import Event
from models.gan import GAN, GANConfig
from pipelines.data.examples import Examples, examples
from pipelines.data.prepared import Prepared
from pipelines.errors import UserError
from pipelines.evaluation.finished import load_features
from pipelines.evaluation.metrics.distances import fid
from pipelines.evaluation.validation import BATCH, FID_SAMPLES, feature_array, features_of
from pipelines.files import write_json
from pipelines.params.project import Project
from pipelines.params.schema import Loop
from pipelines.storage import Folder
from pipelines.training.loop import Training
from pipelines.training.task import Task

from ._rows import RESULTS

Settings = Mapping[str, Mapping[str, Any]]  # the name of a case → fields of its configuration
Measure = Callable[[GAN], float]

MODES, RADIUS, STD = 8, 2.0, 0.02
RING_EXAMPLES, RING_SAMPLES = 50_000, 2_500
RING_NETWORK = {"architecture": "mlp", "latent": 2, "hidden": (128, 128), "learning_rate": 1e-3, "beta1": 0.5}
RING_LOOP = Loop(steps=4000, batch_size=128, schedule="linear", ema_decay=0.999, validate_every=4000)
RING: Settings = {
    "minimax": {"loss": "minimax"},
    "non_saturating": {"loss": "non_saturating"},
    "maximum_likelihood": {"loss": "maximum_likelihood"},
    "least_squares": {"loss": "least_squares"},
    "wasserstein, weight_clip": {"loss": "wasserstein", "weight_clip": 0.03, "discriminator_steps": 3, "beta1": 0.0},
    "wasserstein, gradient_penalty": {
        "loss": "wasserstein",
        "gradient_penalty": 0.1,
        "discriminator_steps": 3,
        "learning_rate": 2e-3,
        "beta2": 0.9,
    },
    "hinge": {"loss": "hinge"},
}

DIGITS_SAMPLES = 2000
DIGITS_NETWORK = {
    "architecture": "dcgan",
    "conditional": True,
    "latent": 32,
    "width": 32,
    "learning_rate": 1e-3,
    "beta1": 0.5,
}
DIGITS_LOOP = Loop(steps=1200, batch_size=64, schedule="constant", ema_decay=0.99)
DIGITS: Settings = {
    "minimax": {"loss": "minimax"},
    "non_saturating": {"loss": "non_saturating"},
    "maximum_likelihood": {"loss": "maximum_likelihood"},
    "least_squares": {"loss": "least_squares"},
    "wasserstein, weight_clip": {"loss": "wasserstein", "weight_clip": 0.1, "discriminator_steps": 3},
    "wasserstein, gradient_penalty": {"loss": "wasserstein", "gradient_penalty": 10.0, "discriminator_steps": 3},
    "hinge": {"loss": "hinge"},
    "non_saturating, r1": {"loss": "non_saturating", "r1": 0.5},
    "hinge, spectral_norm": {"loss": "hinge", "spectral_norm": True},
}


@dataclass(frozen=True)
class Study:
    """What all cases of a comparison share. `objective` chooses among the weights of a training: the least wins."""

    settings: Settings
    network: Mapping[str, Any]
    loop: Loop
    event: Event
    data: Examples
    objective: Measure
    measures: Callable[[GAN], dict[str, float]]


@dataclass(frozen=True)
class Outcome:
    """What one training of a case came to; `measured` is empty where it diverged."""

    case: str
    seed: int
    seconds: float
    measured: dict[str, float]


def train(study: Study, case: str, seed: int) -> Outcome:
    """Train one case with one seed, and measure its best averaged weights."""
    torch.manual_seed(seed)
    gan = GAN(GANConfig(**{**study.network, **study.settings[case]}), study.event)
    gan.initialise(*study.data.head(10_000), torch.Generator().manual_seed(seed))
    task = Task(case, gan, gan.players(), study.data, lambda: {"objective": study.objective(gan)})
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        training = Training(task, study.loop, seed, Folder(folder))
        try:
            training.run()
        except UserError as error:
            print(error)
            return Outcome(case, seed, time.perf_counter() - began, {})
    seconds = time.perf_counter() - began
    gan.load_state_dict(training.best)
    with torch.no_grad():
        measured = study.measures(gan.eval())
    return Outcome(case, seed, seconds, measured if all(map(math.isfinite, measured.values())) else {})


def compare(study: Study, seeds: int) -> list[Outcome]:
    """All cases with all seeds."""
    outcomes = []
    for case in study.settings:
        for seed in range(seeds):
            outcomes.append(train(study, case, seed))
            shown = "  ".join(f"{name} {value:.3f}" for name, value in outcomes[-1].measured.items()) or "diverged"
            print(f"{case}, seed {seed}: {shown}  ({outcomes[-1].seconds:.0f} s)", flush=True)
    return outcomes


# The ring


def ring_modes() -> Tensor:
    """The means (8, 2) of the Gaussians."""
    angles = torch.arange(MODES) * (2 * math.pi / MODES)
    return RADIUS * torch.stack([angles.cos(), angles.sin()], 1)


def ring_measures(gan: GAN) -> dict[str, float]:
    """Modes with any sample of high quality and with a quarter of their share, and the share of high quality."""
    distance, mode = torch.cdist(
        gan.sample(RING_SAMPLES, generator=torch.Generator().manual_seed(0)), ring_modes()
    ).min(1)
    if not distance.isfinite().all():
        return {"modes": math.nan}
    found = mode[distance < 3 * STD].bincount(minlength=MODES)
    return {
        "modes": float((found > 0).sum()),
        "modes_with_a_quarter": float((found >= RING_SAMPLES / MODES / 4).sum()),
        "high_quality": float(found.sum()) / RING_SAMPLES,
    }


def ring() -> Study:
    """The weights of the last step are measured: with nothing held out there is nothing to choose them by."""
    x = ring_modes().repeat(RING_EXAMPLES // MODES, 1)
    x = x + STD * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    data, event = Examples(x.numpy(), None), Event((2,), None)
    return Study(RING, RING_NETWORK, RING_LOOP, event, data, lambda gan: 0.0, ring_measures)


# The digits


def digits() -> Study:
    """As the workflow does it, weights are chosen by the FID to the validation split, and measured by that to test."""
    project = Project.here()
    folder = project.artifacts("features")
    if not (project.prepared / "meta.json").exists() or not (folder / "model.safetensors").exists():
        raise SystemExit("the digits and their classifier are not there: run `make repro` first")
    data, classifier = Prepared.open(project.prepared), load_features(folder)
    assert isinstance(classifier, Classifier)
    val, test = (feature_array(classifier, examples(project, data, split).batches(BATCH)) for split in ("val", "test"))

    def samples(gan: GAN, n: int) -> Tensor:
        return gan.sample(n, generator=torch.Generator().manual_seed(0))

    def objective(gan: GAN) -> float:
        return fid(val, features_of(classifier, samples(gan, FID_SAMPLES)))

    def measures(gan: GAN) -> dict[str, float]:
        x = samples(gan, DIGITS_SAMPLES)
        classes = classifier.logits(x).argmax(1).bincount(minlength=data.event.classes)
        least = DIGITS_SAMPLES / data.event.classes / 10
        return {"fid": fid(test, features_of(classifier, x)), "classes": float((classes >= least).sum())}

    train = examples(project, data, "train")
    return Study(DIGITS, DIGITS_NETWORK, DIGITS_LOOP, data.event, train, objective, measures)


# What comes out


def summary(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """A row per case: means and standard errors over the seeds that did not diverge."""
    rows = []
    for case in dict.fromkeys(outcome.case for outcome in outcomes):
        runs = [outcome for outcome in outcomes if outcome.case == case]
        finished = [run.measured for run in runs if run.measured]
        row: dict[str, Any] = {"case": case, "seeds": len(runs), "diverged": len(runs) - len(finished)}
        for name in finished[0] if finished else ():
            values = [measured[name] for measured in finished]
            error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None
            row[name] = {"mean": statistics.mean(values), "standard_error": error, "values": values}
        row["seconds"] = statistics.mean(run.seconds for run in runs)
        rows.append(row)
    return rows


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as a table for the documentation."""
    names = list(dict.fromkeys(name for row in rows for name, value in row.items() if isinstance(value, dict)))
    head = ["loss", *(name.replace("_", " ") for name in names), "diverged", "seconds"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row in rows:
        cells = [_cell(row.get(name)) for name in names]
        diverged = f"{row['diverged']} of {row['seeds']}"
        lines.append("| " + " | ".join([row["case"], *cells, diverged, f"{row['seconds']:.0f}"]) + " |")
    return "\n".join(lines)


def _cell(value: Mapping[str, Any] | None) -> str:
    if value is None:
        return ""
    error = value["standard_error"]
    return f"{value['mean']:.3g}" if error is None else f"{value['mean']:.3g} ± {error:.1g}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Every adversarial loss, on a ring of Gaussians or on digits.")
    parser.add_argument("what", choices=("ring", "digits"))
    parser.add_argument("--seeds", type=int, default=5, help="trainings of each case")
    parser.add_argument("--steps", type=int, default=None, help="steps of each training; then no results are written")
    given = parser.parse_args()
    torch.set_num_threads(1)
    study = {"ring": ring, "digits": digits}[given.what]()
    if given.steps is not None:
        shorter = {"steps": given.steps, "validate_every": min(given.steps, study.loop.validate_every)}
        study = replace(study, loop=study.loop.model_copy(update=shorter))
    rows = summary(compare(study, given.seeds))
    print("\n" + markdown(rows))
    if given.steps is None:
        path = RESULTS / f"adversarial_{given.what}.json"
        shared = {"network": study.network, "settings": study.settings, "loop": study.loop.model_dump()}
        write_json(path, {**shared, "cases": rows})
        print(f"\nWritten to {path}")


if __name__ == "__main__":
    main()
