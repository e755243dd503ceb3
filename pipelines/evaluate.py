"""Stage `evaluate@<entry>`: everything that is measured about one finished entry, in honest units."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import torch

from models.contract import Completion, Density, Family, Features, Invertible, Latent, Reconstruction

from .completions import COMPLETED, DRAWN, Completions, chosen, masks
from .completions import draw as draw_completions
from .errors import UserError
from .export import features_name, load_family, load_features, parameter_count
from .files import read_json, replacing, write_json
from .jobs import examples
from .latents import MAPPED, Latents, look_into
from .metrics.codes import prior_gap, reconstruction_rmse
from .metrics.likelihood import Likelihood, bayes_accuracy, marginal, score, score_classes, unit_name
from .metrics.probe import FITTED, SCORED, probe_accuracy
from .metrics.quality import fid, kid, prdc
from .metrics.speed import examples_per_second
from .params import Evaluate
from .prepared import Prepared
from .project import Project
from .record import tracked
from .report.grid import column_labels
from .rows import spread
from .training.loop import device
from .validation import (
    BATCH,
    batches_of,
    collapse,
    draw,
    feature_array,
    features_of,
    log_volume,
    name_of_objective,
    reconstruction_error,
    spread_rows,
)

# What is blank for a family without a density, and for one whose samples are not all finite.
LIKELIHOOD = ("nll_bits_per_dim", "nll_nats", "nll_standard_error", "nll_kind", "nll_bound", "scoring_passes")
QUALITY = ("fid", "kid", "precision", "recall", "density", "coverage")


def run(project: Project, entry: str) -> None:
    """Write artifacts/evaluate/<entry>/: metrics.json, and for the report samples.npy, completions.npz, latents.npz."""
    params, data = project.params, Prepared.open(project.prepared)
    torch.set_num_threads(params.cluster.cpus_per_worker)
    stage, settings = params.evaluate.entries[entry], params.evaluate
    origin, folder = project.artifacts(stage, entry), project.artifacts("evaluate", entry)
    with tracked(project, "evaluate", entry, {"evaluate": settings}) as run, torch.no_grad():
        family = load_family(origin).to(device())
        if settings.compile:
            family.compile_sampling()
        samples = draw(family, settings.samples, settings.seed)
        codes, of_codes = latents(project, data, family)
        metrics = {
            "entry": entry,
            "model": params.model(entry),
            "objective": None,
            "objective_name": name_of_objective(type(family), data.event),
            **_likelihood(project, data, family),
            **_reconstruction(project, data, family),
            **_quality(project, data, family, samples),
            **of_codes,
            **_probe(project, data, family),
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
        completions(project, data, family).save(folder / "completions.npz")
        codes.save(folder / "latents.npz")
        write_json(folder / "metrics.json", metrics)
        run.log_metrics({key: value for key, value in metrics.items() if isinstance(value, int | float)})
        run.log_artifact(folder)
    objective = f"{metrics['objective_name']} {_shown(metrics['objective'], 4)}"
    print(f"evaluate@{entry}: {objective}, fid {_shown(metrics['fid'], 3)}; see {folder}")


def _shown(value: float | None, digits: int) -> str:
    return "not measured" if value is None else f"{value:.{digits}f}"


def shown(family: Family, seed: int) -> torch.Tensor:
    """The samples that the report shows, as they come; of a conditional model one class per column."""
    labels = torch.from_numpy(column_labels(family.event))
    generator = torch.Generator().manual_seed(seed)
    return family.sample(len(labels), labels if family.classes else None, generator=generator)


def completions(project: Project, data: Prepared, family: Family) -> Completions:
    """Completions of a few examples of the test split; none by a family that cannot complete."""
    event, seed = family.event, project.params.evaluate.seed
    known = masks(event, seed)
    if not known or not isinstance(family, Completion):
        return Completions.none(event)
    test = examples(project, data, "test")
    labels = None if test.labels is None else test.labels.cpu().numpy()
    x, of_x = test.rows(torch.from_numpy(chosen(len(test), labels, COMPLETED[event.kind])))
    return draw_completions(family, known, x, of_x, DRAWN[event.kind], seed)


def latents(project: Project, data: Prepared, family: Family) -> tuple[Latents, dict[str, float | None]]:
    """What is shown of the codes of examples of the test split, and numbers about them; none of a family without."""
    if not isinstance(family, Latent):
        return Latents.none(family.event), {}
    settings = project.params.evaluate
    test, train = examples(project, data, "test"), examples(project, data, "train")
    at_most = MAPPED if settings.scored is None else min(MAPPED, settings.scored)
    known, learnt = test.rows(spread_rows(test, at_most)), train.head(MAPPED)
    made, coded = look_into(family, family.event, bool(family.classes), known, learnt, settings.seed)
    return made, {
        "reconstruction_rmse": _finite(reconstruction_rmse(known[0], coded.decoded, family.event)),
        "prior_gap": _finite(prior_gap(coded.codes, coded.prior)),
    }


def _finite(value: float) -> float | None:
    """A number for metrics.json, to a precision that hides errors of rounding; None if it is none."""
    return round(value, 4) if math.isfinite(value) else None


def _likelihood(project: Project, data: Prepared, family: Family) -> dict[str, Any]:
    """Likelihood on test, and on val for the objective; blank for families without a density.

    It is that of the data as it is, and of vectors that of the data standardised by the training split.
    The likelihood of a conditional model is that of p(x), its labels summed out: comparable with unconditional ones.
    """
    if not isinstance(family, Density):
        return dict.fromkeys(LIKELIHOOD)
    seed, event, test = project.params.evaluate.seed, data.event, examples(project, data, "test")
    volume, rows = log_volume(data), spread_rows(test, project.params.evaluate.scored)
    by_class: dict[str, Any] = {}
    if family.classes:
        scores = score_classes(family, batches_of(test, rows), seed)
        assert test.labels is not None
        labels = test.labels[rows.to(test.labels.device)]
        given = Likelihood.of(scores.gather(1, labels[:, None])[:, 0], volume)
        by_class["bayes_accuracy"] = bayes_accuracy(scores, labels)
        by_class[f"conditional_{unit_name(event)}"] = given.in_unit_of(event)
        likelihood = Likelihood.of(marginal(scores), volume)
    else:
        likelihood = Likelihood.of(score(family, batches_of(test, rows), seed), volume)
    val = examples(project, data, "val")
    val_rows = spread_rows(val, project.params.evaluate.scored)
    objective = Likelihood.of(score(family, batches_of(val, val_rows), seed), volume)
    return {
        "nll_bits_per_dim": None if event.levels is None else likelihood.bits_per_dim(event),
        "nll_nats": likelihood.nats,
        "nll_standard_error": likelihood.standard_error,
        "nll_kind": "exact" if family.bound is None else "bound",
        "nll_bound": family.bound,
        "nll_examples": likelihood.count,
        **by_class,
        "scoring_passes": family.scoring_passes,
        "objective": objective.in_unit_of(event),
    }


def _reconstruction(project: Project, data: Prepared, family: Family) -> dict[str, Any]:
    """The objective of a family that has codes and no likelihood."""
    if not isinstance(family, Reconstruction):
        return {}
    val = examples(project, data, "val").batches(BATCH)
    return {"objective": reconstruction_error(family, val, project.params.evaluate.seed)}


def _quality(project: Project, data: Prepared, family: Family, samples: torch.Tensor) -> dict[str, Any]:
    """Distances between the samples and the test split, in features; blank where samples overflow."""
    settings, folder = project.params.evaluate, project.artifacts("features")
    features, test = load_features(folder).to(device()), examples(project, data, "test")
    references = spread_rows(test, settings.references)
    fake, real = features_of(features, samples), feature_array(features, batches_of(test, references))
    measured: dict[str, Any] = {
        **dict.fromkeys(QUALITY),
        "fid_features": features_name(folder),
        "fid_samples": len(fake),
        "fid_references": len(real),
    }
    if not np.isfinite(fake).all():
        broken = int((~np.isfinite(fake).all(1)).sum())
        print(f"warning: {broken} of {len(fake)} samples are not finite: their quality is not measured")
        return {**measured, "broken_samples": broken}
    count = min(len(real), len(fake))  # balls are comparable only between sets of one size
    if count <= settings.neighbours:
        raise UserError(
            f"params.yaml: evaluate.neighbours: {settings.neighbours} is not allowed: must be less than the samples and"
            f" the test examples that they are compared with, {count}"
        )
    measured |= {
        "fid": fid(real, fake),
        "kid": kid(real, fake),
        **prdc(real[spread(len(real), count)], fake[:count], settings.neighbours),
        **collapse(features, real, fake),
    }
    if not isinstance(family, Density | Reconstruction):  # of the others the objective is no matter of samples
        measured["objective"] = fid(feature_array(features, examples(project, data, "val").batches(BATCH)), fake)
    return measured


def _probe(project: Project, data: Prepared, family: Family) -> dict[str, Any]:
    """How well a linear classifier tells the classes of the test split apart by a family's features."""
    if not isinstance(family, Features) or data.event.classes < 2:
        return {}
    arrays: list[np.ndarray] = []
    for split, at_most in (("train", FITTED), ("test", SCORED)):
        some = examples(project, data, split)
        rows = spread_rows(some, at_most)
        assert some.labels is not None
        arrays += [
            feature_array(family, batches_of(some, rows)),
            some.labels[rows.to(some.labels.device)].cpu().numpy(),
        ]
    return {"probe_accuracy": probe_accuracy(*arrays), "probe_features": arrays[0].shape[1]}


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
