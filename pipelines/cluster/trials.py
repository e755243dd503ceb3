"""The trials of a search, each in a file of its own in the storage: written when proposed, and again when finished.

So a search writes as much as its trials report, whatever their number, to a disk as to object storage, and what is
finished stays so: a search that was killed, or is given more trials than before, goes on from what it finds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ..storage import Folder

STEP, OBJECTIVE = "step", "objective"


@dataclass(frozen=True)
class Proposal:
    """The parameters of a trial.

    Of a population each round of each member is a trial. It takes up the weights of another one of the round before,
    its parent, and `earlier` are the parameters of the rounds on that way.
    """

    number: int  # in order of proposal, from 0; those of a round follow each other
    parameters: dict[str, Any]
    parent: int | None = None
    earlier: list[dict[str, Any]] = field(default_factory=list)

    @property
    def rounds(self) -> list[dict[str, Any]]:
        """The parameters of each round, its own the last."""
        return [*self.earlier, self.parameters]


@dataclass(frozen=True)
class TrialResult:
    """One finished trial of a search: what was proposed, and everything that it reported, in order of steps."""

    number: int  # in order of proposal, from 0
    parameters: dict[str, Any]
    history: list[dict[str, float]]
    stopped_early: bool  # ended before the last step that it was to make
    failure: str | None = None  # why the trial failed; None if it did not
    parent: int | None = None
    earlier: list[dict[str, Any]] = field(default_factory=list)

    @property
    def step(self) -> int | None:
        """The last step that was reported."""
        return int(self.history[-1][STEP]) if self.history else None

    @property
    def objective(self) -> float | None:
        """The objective at the last step; None for a failed trial."""
        return self.history[-1][OBJECTIVE] if self.history and self.failure is None else None

    @property
    def best_step(self) -> int | None:
        """The first step with the lowest objective; None for a failed trial."""
        best = self._best()
        return int(best[STEP]) if best else None

    @property
    def best_objective(self) -> float | None:
        """The lowest objective; None for a failed trial."""
        best = self._best()
        return best[OBJECTIVE] if best else None

    def _best(self) -> dict[str, float] | None:
        finite = [row for row in self.history if not math.isnan(row[OBJECTIVE])]
        return min(finite, key=lambda row: row[OBJECTIVE]) if finite and self.failure is None else None


class Journal:
    """What is known of the trials of a search: what was proposed, and the results of those that are finished."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self.proposed: dict[int, Proposal] = {}
        self._finished: dict[int, TrialResult] = {}
        for name in folder.names():
            found = json.loads(folder.read(name) or b"{}")
            if found:  # else it was removed just now
                proposal = Proposal(**{each.name: found[each.name] for each in fields(Proposal)})
                self.proposed[proposal.number] = proposal
                if "history" in found:
                    self._finished[proposal.number] = TrialResult(**found)

    @property
    def results(self) -> list[TrialResult]:
        """The finished trials in order of proposal."""
        return [self._finished[number] for number in sorted(self._finished)]

    def missing(self, trials: int) -> list[int]:
        """Which of the first so many trials are not finished."""
        return [number for number in range(trials) if number not in self._finished]

    def propose(self, proposal: Proposal) -> None:
        """Keep what a trial is made with."""
        self.proposed[proposal.number] = proposal
        self._write(proposal.number, asdict(proposal))

    def finish(self, result: TrialResult) -> None:
        """Keep the result of a trial."""
        self._finished[result.number] = result
        self._write(result.number, asdict(result))

    def _write(self, number: int, content: Mapping[str, Any]) -> None:
        self._folder.write(f"{number:06d}.json", (json.dumps(content, indent=1) + "\n").encode())
