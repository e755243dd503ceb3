"""A checkout at work: its folder, its parameters, and where each stage puts what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .reading import load
from .schema import Params


@dataclass(frozen=True)
class Project:
    """The project in the folder `root`. Picklable, with absolute paths: Ray workers run in folders of their own."""

    root: Path
    params: Params

    @classmethod
    def here(cls, root: Path | None = None) -> Project:
        """The project in the current folder, or in `root`. Raises `UserError` for what is wrong with its parameters."""
        root = (root or Path.cwd()).resolve()
        return cls(root, load(root / "params.yaml"))

    @property
    def prepared(self) -> Path:
        """The prepared data set."""
        return self.root / "data" / "prepared" / self.params.data.folder

    @property
    def storage(self) -> Path:
        """Checkpoints and search states, which outlive a stage: DVC deletes outputs before it runs one."""
        return (self.root / self.params.cluster.storage).resolve()

    def artifacts(self, stage: str, entry: str | None = None) -> Path:
        """The outputs of a stage, of one entry where the stage has entries."""
        folder = self.root / "artifacts" / stage
        return folder if entry is None else folder / entry
