"""Stage `evaluate@<entry>`: everything that is measured about one finished entry, in honest units."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch

from models.contract import Density, Family, Invertible

from .export import load_classifier, load_family, parameter_count
from .files import file_digest, read_json, replacing, write_json
from .jobs import examples
from .metrics.likelihood import Likelihood, bayes_accuracy, marginal, score, score_classes
from .metrics.quality import fid, kid, prdc
from .metrics.speed import examples_per_second
from .params import Evaluate
from .prepared import Prepared
from .project import Project
from .record import tracked
from .report.grid import column_labels
from .training.loop import device
from .validation import BATCH, feature_array, features_of, name_of_objective


def run(project: Project, entry: str) -> None:
    """Write artifacts/evaluate/<entry>/: metrics.json, and samples.npy for the report."""
    params, data = project.params, Prepared.open(project.prepared)
    torch.set_num_threads(params.cluster.cpus_per_worker)
    stage, settings = params.evaluate.entries[entry], params.evaluate
    origin, folder = project.artifacts(stage, entry), project.artifacts("evaluate", entry)
    with tracked(project, "evaluate", entry, {"evaluate": settings}) as run, torch.no_grad():
        family = load_family(origin).to(device())
        samples = draw(family, settings.samples, settings.seed)
        metrics = {
            "entry": entry,
            "model": params.model(entry),
            **_likelihood(project, data, family),
            **_quality(project, data, family, samples),
            **_speed(project, data, family),
            "train_seconds": read_json(origin / "metrics.json")["train_seconds"],
            "parameters": parameter_count(family),
            "parallel_sampling": family.parallel_sampling,
            "invertible": isinstance(family, Invertible),
            "data_digest": data.digest,
            "seed": settings.seed,
        }
        with replacing(folder / "samples.npy") as temporary, temporary.open("wb") as file:
            np.save(file, shown(family, settings.seed).cpu().numpy())
        write_json(folder / "metrics.json", metrics)
        run.log_metrics({key: value for key, value in metrics.items() if isinstance(value, int | float)})
        run.log_artifact(folder)
    objective = f"{metrics['objective_name']} {metrics['objective']:.4f}"
    print(f"evaluate@{entry}: {objective}, fid {metrics['fid']:.3f}; see {folder}")


def draw(family: Family, n: int, seed: int) -> torch.Tensor:
    """n samples (n, *event) by a seed, made a batch at a time: the same as in one call."""
    generator = torch.Generator().manual_seed(seed)
    return torch.cat([family.sample(min(BATCH, n - done), generator=generator) for done in range(0, n, BATCH)])


def shown(family: Family, seed: int) -> torch.Tensor:
    """The samples that the report shows, as they come; of a conditional model one class per column."""
    labels = torch.from_numpy(column_labels(family.event))
    generator = torch.Generator().manual_seed(seed)
    return family.sample(len(labels), labels if family.classes else None, generator=generator)


def _likelihood(project: Project, data: Prepared, family: Family) -> dict[str, Any]:
    """Likelihood on test, and on val for the objective; blank for families without a density.

    The likelihood of a conditional model is that of p(x), its labels summed out: comparable with unconditional ones.
    """
    if not isinstance(family, Density):
        return dict.fromkeys(
            ("nll_bits_per_dim", "nll_nats", "nll_standard_error", "nll_kind", "nll_bound", "scoring_passes")
        )
    seed, event, test = project.params.evaluate.seed, data.event, examples(project, data, "test")
    by_class: dict[str, Any] = {}
    if family.classes:
        scores = score_classes(family, test.batches(BATCH), seed)
        assert test.labels is not None
        given = Likelihood.of(scores.gather(1, test.labels[:, None])[:, 0])
        by_class["bayes_accuracy"] = bayes_accuracy(scores, test.labels)
        by_class["conditional_nll_bits_per_dim"] = None if event.levels is None else given.bits_per_dim(event)
        likelihood = Likelihood.of(marginal(scores))
    else:
        likelihood = Likelihood.of(score(family, test.batches(BATCH), seed))
    val = Likelihood.of(score(family, examples(project, data, "val").batches(BATCH), seed))
    return {
        "nll_bits_per_dim": None if event.levels is None else likelihood.bits_per_dim(event),
        "nll_nats": likelihood.nats,
        "nll_standard_error": likelihood.standard_error,
        "nll_kind": "exact" if family.bound is None else "bound",
        "nll_bound": family.bound,
        "nll_examples": likelihood.count,
        **by_class,
        "scoring_passes": family.scoring_passes,
        "objective": val.in_unit_of(event),
        "objective_name": name_of_objective(family),
    }


def _quality(project: Project, data: Prepared, family: Family, samples: torch.Tensor) -> dict[str, Any]:
    """Distances between the samples and the test split, in the classifier's features."""
    weights = project.artifacts("features")
    classifier = load_classifier(weights).to(device())
    fake, real = features_of(classifier, samples), feature_array(classifier, examples(project, data, "test"))
    count = min(len(real), len(fake))  # balls are comparable only between sets of one size
    measured: dict[str, Any] = {
        "fid": fid(real, fake),
        "kid": kid(real, fake),
        **prdc(real[:count], fake[:count], project.params.evaluate.neighbours),
        "fid_features": f"classifier:{file_digest(weights / 'model.safetensors')[:12]}",
        "fid_samples": len(fake),
    }
    if not isinstance(family, Density):
        val = feature_array(classifier, examples(project, data, "val"))
        measured |= {"objective": fid(val, fake), "objective_name": name_of_objective(family)}
    return measured


def _speed(project: Project, data: Prepared, family: Family) -> dict[str, Any]:
    """Sampling and scoring throughput, with the device and threads that they hold for."""
    settings: Evaluate = project.params.evaluate
    batch = settings.speed_batch
    (sampling,) = examples_per_second([partial(family.sample, batch)], batch, settings.speed_runs)
    scoring = None
    if isinstance(family, Density):
        train = examples(project, data, "train")
        x, labels = train.rows(torch.arange(batch) % len(train))
        (scoring,) = examples_per_second([partial(family.log_prob, x, labels)], batch, settings.speed_runs)
    return {
        "samples_per_s": sampling,
        "log_probs_per_s": scoring,
        "sampling_passes": family.sampling_passes,
        "speed_batch": batch,
        "speed_device": str(device()),
        "speed_threads": torch.get_num_threads(),
    }
