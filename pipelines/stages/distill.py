"""Stage `distill@<entry>`: a student learns the density of a trained teacher, and both are compared in one run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from models.classifier import Classifier
from models.contract import Density, Family

from ..data.prepared import Prepared
from ..device import device
from ..evaluation.feature_space import quality_features
from ..evaluation.finished import family_config, load_family, load_features, parameter_count
from ..evaluation.metrics.distances import fid
from ..evaluation.metrics.likelihood import Likelihood, score, unit_name
from ..evaluation.metrics.throughput import examples_per_second
from ..evaluation.metrics.two_sample import two_sample_auc
from ..evaluation.validation import batches_of, classified, draw, feature_array, features_of, log_volume, spread_rows
from ..files import file_digest
from ..params.project import Project
from ..tracking.record import finite, tracked
from ..training.jobs import examples, new_family
from ..training.students import student_job
from .running import flops_of_a_step, run_job, write_outcome


def run(project: Project, entry: str) -> None:
    """Write artifacts/distill/<entry>/: the student, its history of KL, and the comparison with its teacher."""
    params, data = project.params, Prepared.open(project.prepared)
    settings = params.distill.entries[entry]
    teacher_folder = project.artifacts("train", settings.teacher)
    model, config, job = params.model(entry), params.config(entry), student_job(project, entry)
    with tracked(project, "distill", entry, {"model": model, "config": config, "distill": settings}) as run:
        done = run_job(project, job)
        student = new_family(project, entry, {})
        student.load_state_dict(done.weights)
        teacher = load_family(teacher_folder)
        digest = file_digest(teacher_folder / "model.safetensors")
        written = family_config(
            entry, model, config, data, params.distill.seed, teacher=settings.teacher, teacher_digest=digest
        )
        best = next(row for row in done.state.history if row["step"] == done.state.best_step)
        metrics = {
            **done.metrics("val_kl_nats_per_dim"),
            "kl_nats_per_dim": best["objective"],
            "kl_standard_error": best["standard_error"],
            **_side_by_side(project, data, student, teacher),
            **_quality(project, data, student, teacher),
            **_real_time(project, data, student, teacher),
            "train_flops": flops_of_a_step(job),
            "parameters": parameter_count(student),
            "rescues": done.state.rescues,
        }
        write_outcome(project.artifacts("distill", entry), done, written, finite(job.name, metrics), run)
    print(f"distill@{entry}: samples {metrics['speed_ratio']:.1f} times as fast as {settings.teacher}")


def _side_by_side(project: Project, data: Prepared, student: Family, teacher: Family) -> dict[str, Any]:
    """Likelihood of both on test, and both sampling speeds, measured in turns in this process."""
    evaluate = project.params.evaluate
    test = examples(project, data, "test")
    scored = spread_rows(test, evaluate.scored)
    pair = {"student": student.to(device()).eval(), "teacher": teacher.to(device()).eval()}
    measured: dict[str, Any] = {}
    for role, family in pair.items():
        assert isinstance(family, Density)  # Distillation has seen to it
        scores = score(family, batches_of(test, scored), evaluate.seed)
        likelihood = Likelihood.of(scores, log_volume(data))
        measured[f"{role}_{unit_name(data.event)}"] = likelihood.in_unit_of(data.event)
    with torch.no_grad():
        calls = [partial(family.sample, evaluate.speed_batch) for family in pair.values()]
        speeds = examples_per_second(calls, evaluate.speed_batch, evaluate.speed_runs)
    measured |= {f"{role}_samples_per_s": speed for role, speed in zip(pair, speeds, strict=True)}
    return {**measured, "nll_examples": len(scored), "speed_ratio": speeds[0] / speeds[1]}


@torch.no_grad()
def _quality(project: Project, data: Prepared, student: Family, teacher: Family) -> dict[str, Any]:
    """The FID of both, by the same seed and as many samples, and how well both can be told apart.

    Of tables by a two-sample test, of classes by the share of samples that are recognised as what they should be.
    """
    evaluate, test = project.params.evaluate, examples(project, data, "test")
    labels = torch.arange(evaluate.samples) % student.classes if student.classes else None
    samples = [draw(family, evaluate.samples, evaluate.seed, labels) for family in (student, teacher)]
    features, _ = quality_features(project, data.event)
    real = feature_array(features, batches_of(test, spread_rows(test, evaluate.references)))
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


@torch.no_grad()
def _real_time(project: Project, data: Prepared, student: Family, teacher: Family) -> dict[str, float]:
    """Seconds of sound that each makes in a second, one sound at a time; nothing for data that is no sound."""
    rate = data.meta["sample_rate"]
    if not rate:
        return {}
    calls = [partial(family.sample, 1) for family in (student, teacher)]
    speeds = examples_per_second(calls, 1, project.params.evaluate.speed_runs)
    seconds = data.event.dimensions / rate
    return {
        f"{role}_real_time_factor": speed * seconds for role, speed in zip(("student", "teacher"), speeds, strict=True)
    }
