"""What a stage has left, kept under all that it depends on: a stage whose work is done only collects it.

DVC deletes the outputs of a stage before it runs the stage. So each that takes long is kept a second time, in

    .genera/results/<stage>-<entry>-<digest>/

where the digest is that of what the plan says it depends on: what its settings and its code mean, the data, what
earlier stages made. `genera run` fills these folders, and `dvc repro` collects them, stage by stage; what is killed
between a stage and its record in dvc.lock loses nothing. Nothing here imports PyTorch.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError
from ..files import file_digest, replacing, text_digest, unique_beside
from ..identity import code_digest
from ..params.plan import CODE, DATA, planned, stage_name
from ..params.project import Project
from .code import meanings

KEPT = ("features", "tune", "train", "distill", "evaluate")  # the stages that take long
OF_THE_MACHINE = ("cost.json", "versions.json", ".DS_Store")  # as in .dvcignore: nothing depends on them


@dataclass(frozen=True)
class Results:
    """The outputs of a stage, and where they are kept: nowhere while something that it depends on is not there."""

    made: Path
    kept: Path | None

    @classmethod
    def of(cls, project: Project, stage: str, entry: str | None) -> Results:
        """Those of a stage of the plan, for which all that it depends on is read."""
        name = stage_name(stage, entry)
        made = project.root / "artifacts" / stage / (entry or "")
        key = dependencies_digest(project, name)
        kept = None if key is None else project.kept / "results" / f"{name.replace('@', '-')}-{key[:16]}"
        return cls(made, kept)

    @property
    def finished(self) -> bool:
        """Has the stage been brought to its end with just this before it?"""
        return self.kept is not None and self.kept.is_dir()

    def collect(self) -> None:
        """Put what was kept where it belongs."""
        assert self.kept is not None  # it is finished
        self.made.mkdir(parents=True, exist_ok=True)
        for file in sorted(self.kept.iterdir()):
            _copy(file, self.made / file.name)

    def keep(self) -> None:
        """Keep what was made, whole or not at all."""
        assert self.kept is not None  # it could not have been made else
        self.kept.parent.mkdir(parents=True, exist_ok=True)
        temporary = unique_beside(self.kept)
        try:
            shutil.copytree(self.made, temporary)
            if not self.finished:
                temporary.rename(self.kept)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def keep_again(self, name: str) -> None:
        """Keep a file that was added later."""
        assert self.kept is not None  # the others were kept
        _copy(self.made / name, self.kept / name)


def _copy(source: Path, target: Path) -> None:
    with replacing(target) as temporary:
        shutil.copyfile(source, temporary)


def dependencies_digest(project: Project, name: str) -> str | None:
    """The digest of the content of all that a stage of the plan depends on; None where some of that is not there."""
    try:
        stages = planned(project.root)
        deps = stages.get(name, set())
        parts = [part for dep in sorted(deps) for part in (dep, *_contents(project, stages, dep))]
    except (FileNotFoundError, UserError):
        return None
    return text_digest(*parts) if deps else None


def _contents(project: Project, stages: Container[str], dep: str) -> Iterator[str]:
    """The digests of the files of a dependency. Prepared data is known by its meta.json, which has the digest of all.

    What settings and code mean is asked anew: the stage `code` may not have run since they were changed.
    """
    if dep.startswith(CODE):
        yield _meaning(project, stages, dep.removeprefix(f"{CODE}/").removesuffix(".json"))
        return
    path = project.root / dep
    if dep == DATA:
        path = project.prepared / "meta.json"
    if not path.is_dir():
        yield file_digest(path)
        return
    for file in sorted(path.rglob("*")):
        if file.is_file() and file.name not in OF_THE_MACHINE:
            yield str(file.relative_to(path))
            yield file_digest(file)


def _meaning(project: Project, stages: Container[str], name: str) -> str:
    settings, roots = next(found for each, *found in meanings(project.params, stages) if each == name)
    return json.dumps({"code": code_digest(*roots), "settings": settings}, sort_keys=True)
