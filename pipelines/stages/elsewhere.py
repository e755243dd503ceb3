"""Stages as tasks that other processes work on: on this machine in the project's folder, on a cluster without it.

A machine of a cluster gets the files that a stage depends on, and gives back those that it has left. Either way what is
to be recorded is told to the process that waits.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..cluster.address import address_of
from ..files import write_bytes
from ..params.plan import DATA, complain_of_unplanned, planned, stage_name
from ..params.project import Project
from ..progress import progress
from ..tracking.records import Record
from ..tracking.stage_run import relayed
from .step import COST, add_speeds, lacks_speeds, work

if TYPE_CHECKING:
    from ..data.sent import Sent

SPEEDS = "speeds"
WEIGHTS, CONFIG = "model.safetensors", "config.json"

Outputs = Mapping[str, bytes]
Tell = Callable[[Any], None]


def sent_stage(project: Project, stage: str, entry: str | None) -> Callable[[Tell], Outputs]:
    """What a worker calls to do the work of a stage."""
    if address_of(project.params.cluster) is None:
        return partial(_work_here, project, stage, entry)
    if entry is not None:
        complain_of_unplanned(project.root, stage, entry, project.entry(entry).judged_by_samples)
    read = planned(project.root)[stage_name(stage, entry)] - {DATA}
    return partial(_work_elsewhere, _sent(project, read), stage, entry)


def sent_speeds(project: Project, timed: Collection[tuple[str, str]]) -> Callable[[Tell], Outputs]:
    """What a worker calls to measure the speeds that are not known yet, of what has ended well."""
    if address_of(project.params.cluster) is None:
        return partial(_speeds_here, project, timed)
    stages = (f"artifacts/{stage}" for stage in ("features", "train", "distill", "evaluate"))
    read = [name for name in stages if (project.root / name).is_dir()]  # there may be no student, or none ended well
    return partial(_speeds_elsewhere, _sent(project, read), timed)


def _sent(project: Project, names: Collection[str]) -> Sent:
    """The project with these of its files and folders, for other machines."""
    from ..data.sent import Sent  # imports PyTorch

    return Sent.of(project, _files(project, names))


def put(project: Project, outputs: Outputs) -> None:
    """Put files where they belong in the project."""
    for name, content in outputs.items():
        write_bytes(project.root / name, content)


def _files(project: Project, names: Collection[str]) -> Iterator[Path]:
    """The files of some files and folders of the project; of a model's weights also what says how it is built."""
    for path in (project.root / name for name in sorted(names)):
        if path.is_dir():
            yield from (each for each in sorted(path.rglob("*")) if each.is_file())
        else:
            yield path
        if path.name == WEIGHTS:
            yield path.with_name(CONFIG)


def _work_here(project: Project, stage: str, entry: str | None, tell: Tell) -> Outputs:
    with relayed(partial(_tell, tell, project.root)):
        work(project, stage, entry)
    return {}


def _work_elsewhere(sent: Sent, stage: str, entry: str | None, tell: Tell) -> Outputs:
    project = sent.unpacked()
    made_for = [] if entry is None else [project.entry(entry)]
    with relayed(partial(_tell, tell, project.root)):
        import_module(f"{__package__}.{stage}").run(project, *made_for)
    return _outputs(project, project.root / "artifacts" / stage / (entry or ""))


def _speeds_here(project: Project, timed: Collection[tuple[str, str]], tell: Tell) -> Outputs:
    with relayed(partial(_tell, tell, project.root)), progress(SPEEDS, 0, len(timed), "entry") as advance:
        for number, (stage, entry) in enumerate(timed):
            if lacks_speeds(project, stage, entry):
                add_speeds(project, stage, entry)
            advance(number + 1, stage_name(stage, entry), last=number + 1 == len(timed))
    return {}


def _speeds_elsewhere(sent: Sent, timed: Collection[tuple[str, str]], tell: Tell) -> Outputs:
    project = sent.unpacked()
    _speeds_here(project, timed, tell)
    folders = (project.root / "artifacts" / stage / entry for stage, entry in timed)
    return {name: content for folder in folders for name, content in _outputs(project, folder, COST).items()}


def _outputs(project: Project, folder: Path, pattern: str = "*") -> Outputs:
    """The files of a folder, by their paths in the project."""
    files = (each for each in sorted(folder.rglob(pattern)) if each.is_file())
    return {str(each.relative_to(project.root)): each.read_bytes() for each in files}


def _tell(tell: Tell, root: Path, record: Record) -> None:
    """Tell of a record, with paths from the project's folder on."""
    tell(replace(record, content=record.content.relative_to(root)) if record.kind == "files" else record)
