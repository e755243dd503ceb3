"""Stage `train@<entry>`: train a family on the data, with the parameters that its search found, if it had one."""

from __future__ import annotations

from models.catalogue import family_class

from ..data.prepared import Prepared
from ..evaluation.finished import family_config, parameter_count
from ..evaluation.validation import name_of_objective
from ..params.project import Project
from ..tracking.record import tracked
from ..training.jobs import best_parameters, family_job, new_family
from .running import flops_of_a_step, run_job, write_outcome


def run(project: Project, entry: str) -> None:
    """Write artifacts/train/<entry>/: weights, config, history and metrics."""
    params, data = project.params, Prepared.open(project.prepared)
    found = best_parameters(project, entry)
    model, config, loop = params.model(entry), params.config(entry, found), params.train.entries[entry]
    job = family_job(project, entry, found)
    with tracked(project, "train", entry, {"model": model, "config": config, "loop": loop, "found": found}) as run:
        done = run_job(project, job)
        written = family_config(entry, model, config, data, params.train_seed(entry), found=found)
        objective = name_of_objective(family_class(model), data.event)
        metrics = {
            **done.metrics(objective),
            "train_flops": flops_of_a_step(job),
            "parameters": parameter_count(new_family(project, entry, found)),
            "concerns": done.concerns,
        }
        write_outcome(project.artifacts("train", entry), done, written, metrics, run)
