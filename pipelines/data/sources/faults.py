"""Files that cannot be read: listed together, and refused or left out by one option in every source of files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import UserError
from .finding import some


@dataclass(frozen=True)
class Fault:
    """Why a file cannot be used. `way_out` says what to do about it; a file that is damaged has none but `corrupt`."""

    reason: str
    way_out: str | None = None


@dataclass
class Faults:
    """The faults of many files, in order; `kind` says what files they are."""

    kind: str
    found: list[tuple[Path, Fault]] = field(default_factory=list)

    def settle(self, files: int, corrupt: str, splits: Mapping[str, Sequence[Path]]) -> list[str]:
        """A sentence about files that were skipped, if any were.

        A UserError, a line for each kind of fault, unless files may be skipped, and if none is left of a split.
        """
        damaged = [f"{path} ({fault.reason})" for path, fault in self.found if fault.way_out is None]
        if len(damaged) == files:
            raise UserError(f"none of the {files:,} {self.kind} files can be read: {some(damaged)}")
        lines = [*self._unusable(), *(self._damaged(damaged) if damaged and corrupt == "refuse" else [])]
        if lines:
            raise UserError("\n".join(lines))
        bad = {path for path, _ in self.found}
        for split, paths in splits.items():
            if bad.issuperset(paths):
                raise UserError(f"none of the {len(paths):,} {self.kind} files of the split {split} can be read")
        return [f"{len(damaged):,} files that cannot be read were skipped: {some(damaged)}."] if damaged else []

    def _damaged(self, named: Sequence[str]) -> list[str]:
        return [
            f"{len(named):,} {self.kind} files cannot be read: {some(named)}; mend or remove them, or set data.corrupt"
            " to skip"
        ]

    def _unusable(self) -> list[str]:
        """A line for each way out."""
        groups: dict[str, list[str]] = {}
        for path, fault in self.found:
            if fault.way_out is not None:
                groups.setdefault(fault.way_out, []).append(f"{path} ({fault.reason})")
        return [
            f"{len(named):,} {self.kind} files cannot be read: {some(named)}; {way_out}"
            for way_out, named in groups.items()
        ]
