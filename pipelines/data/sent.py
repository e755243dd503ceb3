"""A project on its way to machines that do not see its folder: its parameters, some of its files, and its data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..files import locked, text_digest, write_bytes
from ..params.project import Project
from ..params.schema import Params
from ..storage import Folder
from .prepared import Prepared
from .publishing import cache_folder, fetch, publish


@dataclass(frozen=True)
class Sent:
    """What a machine needs of a project: files by their paths in it, and data from where it is published."""

    params: Params
    files: Mapping[str, bytes]
    name: str
    digest: str

    @classmethod
    def of(cls, project: Project, files: Iterable[Path]) -> Sent:
        """Send these files of a project, and publish its data where that is still to be done."""
        data = Prepared.open(project.prepared)
        publish(data, project.published)
        content = {str(path.relative_to(project.root)): path.read_bytes() for path in files}
        return cls(project.params_elsewhere, content, data.folder.name, data.digest)

    @property
    def storage(self) -> Folder:
        """Where checkpoints and search states are."""
        return Folder(self.params.cluster.storage)

    def unpacked(self) -> Project:
        """The project in a folder of this machine, which others with the same content share."""
        digests = (part for name, content in sorted(self.files.items()) for part in (name, content.hex()))
        folder = cache_folder() / "projects" / text_digest(self.digest, *digests)[:16]
        project = Project(folder, self.params)
        with locked(folder.with_suffix(".lock")):
            for name, content in self.files.items():
                if not (folder / name).exists():
                    write_bytes(folder / name, content)
            if not project.prepared.exists():
                data = fetch(project.published, self.name, self.digest, cache_folder())
                project.prepared.parent.mkdir(parents=True, exist_ok=True)
                project.prepared.unlink(missing_ok=True)  # a link to what was there once
                project.prepared.symlink_to(data.folder, target_is_directory=True)
        return project
