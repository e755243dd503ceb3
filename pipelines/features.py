"""Stage `features`: train the small classifier in whose features the quality of samples is measured."""

from __future__ import annotations

from dataclasses import asdict

import torch

from models.classifier import Classifier

from .execute import run_job, write_outcome
from .export import classifier_config
from .jobs import classifier_job, examples
from .prepared import Prepared
from .project import Project
from .record import tracked
from .training.loop import device
from .validation import classification_validator


def run(project: Project) -> None:
    """Write artifacts/features/: weights, config, history, and the accuracy on val and test as metrics."""
    settings, data = project.params.evaluate.classifier, Prepared.open(project.prepared)
    folder, job = project.artifacts("features"), classifier_job(project)
    with tracked(project, "features", None, {"classifier": settings}) as run:
        done = run_job(project, job)
        config = {"config": classifier_config(settings), "event": asdict(data.event), "data_digest": data.digest}
        classifier = Classifier(data.event, **classifier_config(settings)).to(device())
        classifier.load_state_dict(done.weights)
        classifier.eval()
        metrics = done.metrics("val_cross_entropy_nats")
        with torch.no_grad():
            for split in ("val", "test"):
                measured = classification_validator(classifier, examples(project, data, split))()
                metrics[f"{split}_accuracy"] = measured["accuracy"]
        write_outcome(folder, done, config, metrics, run)
    print(f"features: accuracy {metrics['test_accuracy']:.3f} on test")
