"""Stage `features`: train the small classifier in whose features the quality of samples is measured."""

from __future__ import annotations

from dataclasses import asdict

import torch

from .execute import run_job, write_outcome
from .export import classifier_config, load_classifier
from .jobs import classifier_job, examples
from .prepared import Prepared
from .project import Project
from .record import tracked
from .validation import classification_validator


def run(project: Project) -> None:
    """Write artifacts/features/: weights, config, history, and the accuracy on val and test as metrics."""
    settings, data = project.params.evaluate.classifier, Prepared.open(project.prepared)
    folder, job = project.artifacts("features"), classifier_job(project)
    with tracked(project, "features", None, {"classifier": settings}) as run:
        done = run_job(project, job)
        config = {"config": classifier_config(settings), "event": asdict(data.event), "data_digest": data.digest}
        metrics = done.metrics("val_cross_entropy_nats")
        best = next(row for row in done.state.history if row["step"] == done.state.best_step)
        write_outcome(folder, done, config, {**metrics, "val_accuracy": best["accuracy"]}, run)
    classifier = load_classifier(folder)
    with torch.no_grad():
        accuracy = classification_validator(classifier, examples(project, data, "test"))()["accuracy"]
    print(f"features: accuracy {accuracy:.3f} on test")
