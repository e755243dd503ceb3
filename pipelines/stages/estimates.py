"""About how long stages take: as long as they took here the last time, or by what is known of their arithmetic.

metrics.json is committed, and says how many operations a training step and a sample take: so a first run in a fresh
clone has something to begin with. It is a guess, for a line that says about how long it will take.
"""

from __future__ import annotations

from typing import Any

from ..files import read_json, write_json
from ..params.plan import SUMMARY, stage_name
from ..params.project import Project

FLOPS_PER_SECOND = 2.5e10  # of one core of an ordinary machine, with networks as small as those of the digits
LEAST_SECONDS = 2.0  # of a stage, whatever it does
FEATURES_SECONDS = 5.0
SAMPLED = 2.0  # how many times over the samples of `evaluate.samples` are drawn, all in all
TOOK = "took.json"  # seconds of each stage


class Estimates:
    """What is known of the stages of a project."""

    def __init__(self, project: Project) -> None:
        self._project, path = project, project.kept / TOOK
        self.took: dict[str, float] = read_json(path) if path.is_file() else {}

    def learn(self, name: str, seconds: float) -> None:
        """Remember how long a stage took."""
        self.took[name] = round(seconds, 1)
        write_json(self._project.kept / TOOK, self.took)

    def seconds(self, stage: str, entry: str | None) -> float | None:
        """About how long a stage will take; None if nothing is known of it."""
        name = stage_name(stage, entry)
        if name in self.took:
            return self.took[name]
        if entry is None:
            return FEATURES_SECONDS
        flops = self._flops_of_samples(entry) if stage == "evaluate" else self._flops_of_steps(stage, entry)
        return None if flops is None else LEAST_SECONDS + flops / FLOPS_PER_SECOND

    def _flops_of_samples(self, entry: str) -> float | None:
        each = self._metrics(f"artifacts/evaluate/{entry}").get("sampling_flops")
        return None if each is None else SAMPLED * self._project.params.evaluate.samples * each

    def _flops_of_steps(self, stage: str, entry: str) -> float | None:
        params = self._project.params
        each = self._metrics(f"artifacts/{params.entries[entry].stage}/{entry}").get("train_flops")
        loop, search = params.loop_of(entry), params.defaults.search
        size = self._examples() if loop.batch_size == "all" else loop.batch_size
        steps = search.trials * search.steps if stage == "tune" else loop.steps
        return None if each is None else each * steps * size

    def _examples(self) -> int:
        return int(read_json(self._project.root / SUMMARY)["counts"]["train"])

    def _metrics(self, folder: str) -> dict[str, Any]:
        path = self._project.root / folder / "metrics.json"
        return read_json(path) if path.is_file() else {}
