"""Stage `distill@<entry>`: a student learns the density of a trained teacher, and both are compared in one run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from models.classifier import Classifier
from models.contract import Density, Family

from ..data.examples import examples
from ..data.prepared import Prepared
from ..device import device
from ..evaluation.feature_space import quality_features
from ..evaluation.finished import family_config, load_family, load_features, weights_digest
from ..evaluation.metrics.distances import fid
from ..evaluation.metrics.likelihood import Likelihood, score, unit_name
from ..evaluation.metrics.throughput import examples_per_second
from ..evaluation.metrics.two_sample import two_sample_auc
from ..evaluation.reference_features import reference_features
from ..evaluation.results import finite
from ..evaluation.validation import batches_of, classified, draw, features_of, log_volume, spread_rows
from ..params.entry import Entry
from ..params.project import Project
from ..tracking.record import tracked
from ..training.jobs import new_family
from ..training.students import final_divergence, student_job
from .running import run_job, write_outcome


def run(project: Project, entry: Entry) -> None:
    """Write artifacts/distill/<entry>/: the student, its history of KL, and the comparison with its teacher."""
    data, taught_by = Prepared.open(project.prepared), entry.teacher
    assert taught_by is not None  # as of every entry that is distilled
    job = student_job(project, entry, data)
    settings = {"model": entry.model, "config": entry.config, "loop": entry.loop}
    with tracked(project, "distill", entry, settings, job.folder) as run:
        done = run_job(project, job, run)
        student = new_family(entry, data.event)
        student.load_state_dict(done.weights)
        student, teacher = (family.to(device()).eval() for family in (student, load_family(project.made(taught_by))))
        digest = weights_digest(project.made(taught_by))
        config = family_config(entry, data, teacher=taught_by.name, teacher_digest=digest)
        with torch.no_grad():
            final = final_divergence(student, teacher, entry)
        metrics = {
            **done.metrics("val_kl_nats_per_dim"),
            "kl_nats_per_dim": final["objective"],
            "kl_standard_error": final["standard_error"],
            **_likelihoods(project, data, student, teacher),
            **_quality(project, data, student, teacher),
            "train_flops": done.state.flops,
            "parameters": done.state.parameters,
            "rescues": done.state.rescues,
        }
        write_outcome(project.made(entry), done, config, finite(job.name, metrics), run)


def _likelihoods(project: Project, data: Prepared, student: Family, teacher: Family) -> dict[str, Any]:
    """The likelihood of both on test."""
    evaluate, test = project.params.evaluate, examples(project, data, "test")
    scored = spread_rows(test, evaluate.scored)
    measured: dict[str, Any] = {}
    for role, family in (("student", student), ("teacher", teacher)):
        assert isinstance(family, Density)  # Distillation has seen to it
        scores = score(family, batches_of(test, scored), evaluate.seed, evaluate.draws)
        likelihood = Likelihood.of(scores, log_volume(data))
        measured[f"{role}_{unit_name(data.event)}"] = likelihood.in_unit_of(data.event)
    return {**measured, "nll_examples": len(scored)}


@torch.no_grad()
def speeds(project: Project, entry: Entry) -> dict[str, float]:
    """The sampling speeds of student and teacher, measured in turns in this process.

    Of sounds also how many seconds of sound each makes in a second, one sound at a time.
    """
    assert entry.teacher is not None  # as of every entry that is distilled
    torch.set_num_threads(project.params.cluster.cpus_per_worker)
    pair = [load_family(project.made(each)).to(device()) for each in (entry, entry.teacher)]
    evaluate, data = project.params.evaluate, Prepared.open(project.prepared)
    batch, rate = evaluate.speed_batch, data.meta["sample_rate"]
    found = examples_per_second([partial(family.sample, batch) for family in pair], batch, evaluate.speed_runs)
    measured = {
        "student_samples_per_s": found[0],
        "teacher_samples_per_s": found[1],
        "speed_ratio": found[0] / found[1],
    }
    if rate:
        alone = examples_per_second([partial(family.sample, 1) for family in pair], 1, evaluate.speed_runs)
        seconds = data.event.dimensions / rate
        measured |= {"student_real_time_factor": alone[0] * seconds, "teacher_real_time_factor": alone[1] * seconds}
    print(f"distill@{entry.name}: samples {measured['speed_ratio']:.1f} times as fast as {entry.teacher.name}")
    return measured


@torch.no_grad()
def _quality(project: Project, data: Prepared, student: Family, teacher: Family) -> dict[str, Any]:
    """The FID of both, by the same seed and as many samples, and how well both can be told apart.

    Of tables by a two-sample test, of classes by the share of samples that are recognised as what they should be.
    """
    evaluate, test = project.params.evaluate, examples(project, data, "test")
    labels = torch.arange(evaluate.samples) % student.classes if student.classes else None
    samples = [draw(family, evaluate.samples, evaluate.seed, labels) for family in (student, teacher)]
    features, name = quality_features(project, data.event)
    real = reference_features(project, (features, name), test, data.digest, "test", evaluate.references)
    fakes = [features_of(features, x) for x in samples]
    fids = [fid(real, fake) if np.isfinite(fake).all() else None for fake in fakes]
    measured: dict[str, Any] = {"student_fid": fids[0], "teacher_fid": fids[1], "fid_samples": evaluate.samples}
    if data.event.kind == "vector":  # of the same noise the teacher makes twins, by which none could be told apart
        others = draw(teacher, evaluate.samples, evaluate.seed + 1, labels)
        first, second = (x.flatten(1).cpu().numpy() for x in (samples[0], others))
        measured["two_sample_auc"] = two_sample_auc(first, second, evaluate.seed)
    if labels is not None:
        measured["student_recognised"], measured["teacher_recognised"] = _recognised(project, samples, labels)
    return measured


def _recognised(project: Project, samples: Sequence[torch.Tensor], labels: torch.Tensor) -> list[float]:
    """The share of each of the sets of samples that the classifier assigns to their labels (n,)."""
    classifier = load_features(project.artifacts("features")).to(device())
    assert isinstance(classifier, Classifier)  # as for all data with labels
    found = [classified(classifier, features_of(classifier, x)) for x in samples]
    return [float((each == labels.numpy()).mean()) for each in found]
