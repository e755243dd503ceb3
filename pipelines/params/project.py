"""A checkout at work: its folder, its parameters, its entries, and where each stage puts what."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ..experiment import home_of
from ..storage import Folder, location
from .reading import load
from .schema import Params

if TYPE_CHECKING:
    from .entry import Entry


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

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """Every entry by its name, in the order of the file."""
        return {name: self.entry(name) for name in self.params.entries}

    def entry(self, name: str) -> Entry:
        """One entry; families of others are not imported."""
        from .entry import entry_of  # imports PyTorch

        return entry_of(self.params, name)

    @property
    def prepared(self) -> Path:
        """The prepared data set."""
        return self.root / "data" / "prepared" / self.params.data.folder

    @cached_property
    def home(self) -> Path:
        """Where what outlives the folder is kept: DVC runs some experiments in a copy that it removes."""
        return home_of(self.root)

    @property
    def kept(self) -> Path:
        """What the stages have left, and what else is not to be found out twice; on this machine alone."""
        return self.home / ".genera"

    @property
    def storage(self) -> Folder:
        """Checkpoints and search states, which outlive a stage: DVC deletes outputs before it runs one."""
        return Folder(location(self.params.cluster.storage, self.home))

    @property
    def published(self) -> str:
        """Where machines that do not see the project's folder find its data: by default beside the checkpoints."""
        given = self.params.data.publish
        return (self.storage / "data").where if given is None else location(given, self.home)

    @property
    def params_elsewhere(self) -> Params:
        """The parameters as other machines understand them."""
        data = self.params.data.model_copy(update={"publish": self.published})
        cluster = self.params.cluster.model_copy(update={"storage": self.storage.where})
        return self.params.model_copy(update={"data": data, "cluster": cluster})

    def artifacts(self, stage: str, entry: Entry | None = None) -> Path:
        """The outputs of a stage, of one entry where the stage has entries."""
        folder = self.root / "artifacts" / stage
        return folder if entry is None else folder / entry.name

    def made(self, entry: Entry) -> Path:
        """The folder with the finished model of an entry."""
        return self.artifacts(entry.stage, entry)
