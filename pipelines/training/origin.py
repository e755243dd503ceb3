"""That a job runs on another machine by the same code and the same PyTorch as where it was made."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..errors import UserError
from ..identity import code_digest
from ..params.project import Project
from .task import Task


@dataclass(frozen=True)
class Origin:
    """What a machine computes with: the digest of the code of some modules, and the version of PyTorch."""

    roots: tuple[str, ...]
    code: str
    torch: str

    @classmethod
    def here(cls, *roots: str) -> Origin:
        """What this process computes with."""
        return cls(roots, code_digest(*roots), torch.__version__.partition("+")[0])


@dataclass(frozen=True)
class Checked:
    """`make`, where it is called with what it was made with; a `UserError` else."""

    make: Callable[[Project], Task]
    origin: Origin
    name: str

    def __call__(self, project: Project) -> Task:
        found, machine = Origin.here(*self.origin.roots), socket.gethostname()
        if found.torch != self.origin.torch:
            raise UserError(
                f"{self.name}: {machine} has torch {found.torch}, and the process that started this"
                f" {self.origin.torch}; install the same on all machines"
            )
        if found.code != self.origin.code:
            raise UserError(
                f"{self.name}: {machine} runs other code than the process that started this: its packages `models` and"
                " `pipelines` are not the same; remove them there, since the code is sent with the work"
            )
        return self.make(project)
