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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.classifier import Classifier
from models.contract import Event
from models.gan import GAN, GANConfig
from pipelines.errors import UserError
from pipelines.export import load_features
from pipelines.files import write_json
from pipelines.jobs import examples
from pipelines.metrics.quality import fid
from pipelines.params import Loop
from pipelines.prepared import Prepared
from pipelines.project import Project
from pipelines.training.examples import Examples
from pipelines.training.loop import Task, Training
from pipelines.validation import BATCH, feature_array, features_of

from ._rows import RESULTS

Settings = Mapping[str, Mapping[str, Any]]  # the name of a case → fields of its configuration
Measure = Callable[[GAN], dict[str, float]]

MODES, RADIUS, STD = 8, 2.0, 0.02
RING_EXAMPLES, RING_SAMPLES = 50_000, 2_500
RING_NETWORK = {"architecture": "mlp", "latent": 2, "hidden": (128, 128), "learning_rate": 1e-3, "beta1": 0.5}
RING_LOOP = Loop(steps=4000, batch_size=128, schedule="linear", ema_decay=0.999)
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
DIGITS_NETWORK = {"architecture": "dcgan", "conditional": True, "latent": 32, "width": 32}
DIGITS_LOOP = Loop(steps=1200, batch_size=64, schedule="constant", ema_decay=0.99)
DIGITS: Settings = {
    "minimax": {"loss": "minimax"},
    "non_saturating": {"loss": "non_saturating"},
    "maximum_likelihood": {"loss": "maximum_likelihood"},
    "least_squares": {"loss": "least_squares"},
    "wasserstein, weight_clip": {"loss": "wasserstein", "weight_clip": 0.1},
    "wasserstein, gradient_penalty": {"loss": "wasserstein", "gradient_penalty": 10.0},
    "hinge": {"loss": "hinge"},
    "non_saturating, r1": {"loss": "non_saturating", "r1": 1.0},
    "hinge, spectral_norm": {"loss": "hinge", "spectral_norm": True},
}


@dataclass(frozen=True)
class Outcome:
    """What one training of a case came to; `measured` is empty where it diverged."""

    case: str
    seed: int
    seconds: float
    measured: dict[str, float]


def train(
    case: str, config: GANConfig, event: Event, data: Examples, loop: Loop, seed: int, measure: Measure
) -> Outcome:
    """Train with one seed, and measure the averaged weights of the last step."""
    torch.manual_seed(seed)
    gan = GAN(config, event)
    gan.initialise(*data.head(10_000), torch.Generator().manual_seed(seed))
    task = Task(case, gan, gan.players(), data, lambda: {"objective": 0.0})
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        training = Training(task, loop, seed, Path(folder), lambda row: None)
        try:
            training.run()
        except UserError as error:
            print(error)
            return Outcome(case, seed, time.perf_counter() - began, {})
    seconds = time.perf_counter() - began
    gan.load_state_dict(training.best)
    with torch.no_grad():
        measured = measure(gan.eval())
    return Outcome(case, seed, seconds, measured if all(map(math.isfinite, measured.values())) else {})


def compare(
    settings: Settings,
    network: Mapping[str, Any],
    event: Event,
    data: Examples,
    loop: Loop,
    seeds: int,
    measure: Measure,
) -> list[Outcome]:
    """All cases with all seeds."""
    steps = loop.model_copy(update={"validate_every": loop.steps, "checkpoint_every": loop.steps})
    outcomes = []
    for case, fields in settings.items():
        config = GANConfig(**{**network, **fields})
        for seed in range(seeds):
            outcomes.append(train(case, config, event, data, steps, seed, measure))
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


def ring(seeds: int, loop: Loop) -> list[Outcome]:
    generator = torch.Generator().manual_seed(0)
    x = ring_modes().repeat(RING_EXAMPLES // MODES, 1)
    x = x + STD * torch.randn(x.shape, generator=generator)
    data = Examples(x.numpy(), None)
    return compare(RING, RING_NETWORK, Event((2,), None), data, loop, seeds, ring_measures)


# The digits


def digits(seeds: int, loop: Loop) -> list[Outcome]:
    project = Project.here()
    folder = project.artifacts("features")
    if not (project.prepared / "meta.json").exists() or not (folder / "model.safetensors").exists():
        raise SystemExit("the digits and their classifier are not there: run `make repro` first")
    data, classifier = Prepared.open(project.prepared), load_features(folder)
    assert isinstance(classifier, Classifier)
    real = feature_array(classifier, examples(project, data, "test").batches(BATCH))

    def measure(gan: GAN) -> dict[str, float]:
        samples = gan.sample(DIGITS_SAMPLES, generator=torch.Generator().manual_seed(0))
        features = features_of(classifier, samples)
        classes = classifier.logits(samples).argmax(1).bincount(minlength=data.event.classes)
        least = DIGITS_SAMPLES / data.event.classes / 10
        return {"fid": fid(real, features), "classes": float((classes >= least).sum())}

    return compare(DIGITS, DIGITS_NETWORK, data.event, examples(project, data, "train"), loop, seeds, measure)


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
    run, network, settings, loop = {
        "ring": (ring, RING_NETWORK, RING, RING_LOOP),
        "digits": (digits, DIGITS_NETWORK, DIGITS, DIGITS_LOOP),
    }[given.what]
    loop = loop if given.steps is None else loop.model_copy(update={"steps": given.steps})
    rows = summary(run(given.seeds, loop))
    print("\n" + markdown(rows))
    if given.steps is None:
        path = RESULTS / f"adversarial_{given.what}.json"
        write_json(path, {"network": network, "settings": settings, "loop": loop.model_dump(), "cases": rows})
        print(f"\nWritten to {path}")


if __name__ == "__main__":
    main()
