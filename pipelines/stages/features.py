"""Stage `features`: make the module in whose features the quality of samples is measured.

Where the data has labels it is a small classifier, which is trained. Where it has none it is made of the principal
components of the training split, found in closed form.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import Any

import torch

from models.classifier import Classifier
from models.principal import PrincipalComponents

from ..data.examples import examples
from ..data.prepared import Prepared
from ..device import device
from ..evaluation.finished import classifier_config
from ..evaluation.validation import BATCH, classification_validator, explained_variance
from ..files import text_digest
from ..identity import code_digest
from ..params.project import Project
from ..tracking.record import tracked
from ..tracking.stage_run import StageRun
from ..training.jobs import Job, classifier_job
from ..training.task import State
from .running import Finished, run_job, write_outcome

Made = tuple[str, dict[str, Any], Finished, dict[str, Any]]  # kind, arguments that build the module, weights, metrics


def run(project: Project) -> None:
    """Write artifacts/features/: weights, config, history, and as metrics what the features hold of val and test."""
    settings, data = project.params.classifier, Prepared.open(project.prepared)
    job = classifier_job(project, data) if data.event.classes > 1 else None
    with tracked(project, "features", None, {"classifier": settings}, None if job is None else job.folder) as run:
        made = _principal_components(project, data) if job is None else _classifier(project, data, job, run)
        kind, arguments, done, metrics = made
        config = {"kind": kind, "config": arguments, "event": asdict(data.event), "data_digest": data.digest}
        write_outcome(project.artifacts("features"), done, config, metrics, run)


def _classifier(project: Project, data: Prepared, job: Job, run: StageRun) -> Made:
    """Train the classifier; metrics are its accuracies."""
    arguments = classifier_config(project.params.classifier)
    done = run_job(project, job, run)
    classifier = Classifier(data.event, **arguments).to(device())
    classifier.load_state_dict(done.weights)
    classifier.eval()
    metrics = done.metrics("val_cross_entropy_nats")
    with torch.no_grad():
        for split in ("val", "test"):
            measured = classification_validator(classifier, examples(project, data, split))()
            metrics[f"{split}_accuracy"] = measured["accuracy"]
    print(f"features: accuracy {metrics['test_accuracy']:.3f} on test")
    return classifier.kind, arguments, done, metrics


def _principal_components(project: Project, data: Prepared) -> Made:
    """Fit principal components; metrics are the shares of the variance that they explain."""
    began = time.perf_counter()
    arguments = {"feature_dimensions": project.params.classifier.feature_dimensions}
    components = PrincipalComponents(data.event, **arguments).to(device())
    x, _ = examples(project, data, "train").head(components.rows)
    components.fit(x)
    shares = {
        f"{split}_explained_variance": explained_variance(components, examples(project, data, split).batches(BATCH))
        for split in ("val", "test")
    }
    row = {"step": 1, "objective": 1 - shares["val_explained_variance"]}
    state = State(1, 1, row["objective"], seconds=time.perf_counter() - began, finished=True, history=[row])
    digest = text_digest(code_digest("models.principal"), data.digest, json.dumps(arguments))
    done = Finished(components.state_dict(), state, "features", digest)
    metrics = {**done.metrics("val_unexplained_variance"), **shares}
    found, share = components.components.shape[1], shares["test_explained_variance"]
    print(f"features: there are no labels, so {found} principal components: {share:.3f} of the variance of test")
    return components.kind, arguments, done, metrics
