"""Stage `prepare`: read the source, split it, write it in the one format that every family reads, and show it."""

from __future__ import annotations

import shutil
from typing import Any

from ..data import sources
from ..data.preparation.writing import write
from ..data.prepared import Prepared
from ..data.publishing import publish
from ..data.sources.finding import counted
from ..errors import UserError
from ..evaluation.metrics.enough import sentence_about_few
from ..files import write_json, write_text
from ..params.checks import misfits, section_digest, too_few
from ..params.plan import SECTION, SUMMARY
from ..params.project import Project
from ..report.data_page import render_data
from ..tracking.record import tracked

SUMMARIED = ("name", "kind", "shape", "levels", "ordered", "counts", "duplicates", "digest")


def run(project: Project) -> None:
    """Write data/prepared/<name>/, the page report/data.html, and a summary with counts and the digest."""
    data, spool = project.params.data, project.prepared.with_name(f".{project.prepared.name}.spool")
    shutil.rmtree(spool, ignore_errors=True)  # of a run that was killed
    try:
        written = write(project.prepared, sources.read(data, project.root, spool), data)
    finally:
        shutil.rmtree(spool, ignore_errors=True)
    _check(project, written)
    page = project.root / "report" / "data.html"
    write_text(page, render_data(written))
    if data.publish is not None:
        print(f"prepare: published as {publish(written, project.published)}")
    write_json(project.root / SUMMARY, summary(written))
    # No stage depends on this: a setting that leaves the data as it is makes nothing run again.
    write_json(project.root / SECTION, {"section": section_digest(data), "data": written.meta["digest"]})
    with tracked(project, "prepare", None, {"data": data}) as run:
        run.log_metrics(written.meta["counts"])
        run.log_artifact(page)
    _tell(project, written)


def summary(data: Prepared) -> dict[str, Any]:
    """What is committed of the data: what it is, and how much."""
    return {**{key: data.meta[key] for key in SUMMARIED}, "classes": data.event.classes}


def _check(project: Project, data: Prepared) -> None:
    """Families and counts that do not fit the examples are refused before anything is trained on them."""
    params, counts = project.params, data.meta["counts"]
    wrong = [*misfits(params, data.event), *too_few(params, counts["val"], counts["test"])]
    if wrong:
        raise UserError("\n".join(wrong))


def _tell(project: Project, data: Prepared) -> None:
    meta = data.meta
    for decision in meta["decisions"]:
        print(f"prepare: {decision}")
    names = meta["class_names"]
    if names:
        of_class = [sum(of_split[number] for of_split in meta["class_counts"].values()) for number in range(len(names))]
        print(f"prepare: {len(names):,} classes: {counted(zip(names, of_class, strict=True))}")
    few = sentence_about_few(meta["counts"]["test"])
    if few:
        print(f"prepare: {few}")
    counts = ", ".join(f"{count:,} {name}" for name, count in meta["counts"].items())
    print(f"prepare: {counts} examples of shape {tuple(meta['shape'])} in {data.folder}")
    print(f"prepare: look at them in {project.root / 'report' / 'data.html'}")
