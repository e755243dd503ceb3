"""Stage `train@<entry>`: train a family on the data, with the parameters that its search found, if it had one."""

from __future__ import annotations

from dataclasses import asdict

from ..data.prepared import Prepared
from ..evaluation.finished import family_config
from ..evaluation.validation import name_of_objective
from ..params.entry import Entry
from ..params.project import Project
from ..tracking.record import tracked
from ..training.jobs import family_job, tuned
from .running import run_job, write_outcome


def run(project: Project, entry: Entry) -> None:
    """Write artifacts/train/<entry>/: weights, config, history, metrics and cost."""
    data, entry = Prepared.open(project.prepared), tuned(project, entry)
    job = family_job(project, entry, data)
    settings = {"model": entry.model, "config": entry.config, "loop": entry.loop, "found": entry.found}
    with tracked(project, "train", entry, settings, job.folder) as run:
        done = run_job(project, job, run)
        metrics = {
            **done.metrics(name_of_objective(entry.family, data.event)),
            "train_flops": done.state.flops,
            "parameters": done.state.parameters,
            "concerns": done.concerns,
        }
        earlier = [{"until": each.until, "config": asdict(each.config)} for each in entry.earlier]
        config = family_config(entry, data, found=dict(entry.found), **({"earlier": earlier} if earlier else {}))
        write_outcome(project.made(entry), done, config, metrics, run)
