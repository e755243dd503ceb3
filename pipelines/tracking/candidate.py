"""What is to be registered under a name, and where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHAMPION = "champion"  # the alias of the best version


@dataclass(frozen=True)
class Origin:
    """The runs that a model came from, by our own keys, and its data set (see `records.Run`); as far as they are known.

    `speeds` are the numbers that were added to the run of the evaluation later.
    """

    trained: str | None = None
    evaluated: str | None = None
    data: Mapping[str, str] = field(default_factory=dict)
    speeds: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Candidate:
    """What is registered under a name: the entry's files, their digest, its measurements and the caller's tags.

    `picture` is a PNG of samples, where samples are images.
    """

    name: str
    project: str
    entry: str
    folder: Path
    code: Path
    config: Mapping[str, Any]
    metrics: Mapping[str, Any]
    tags: Mapping[str, str]
    digest: str
    scores: Mapping[str, Any] | None = None
    origin: Origin = field(default_factory=Origin)
    picture: bytes | None = None

    @property
    def stage(self) -> str:
        """The stage that made it."""
        return self.tags.get("made_by", "train")

    @property
    def version_tags(self) -> dict[str, str]:
        """The tags of its version."""
        measured = {key: self.metrics.get(key) for key in ("objective_name", "objective")}
        if measured["objective_name"] == "val_fid":  # distances in other features are not comparable
            measured["fid_features"] = self.metrics.get("fid_features")
        elif self.metrics.get("nll_kind"):  # p(x|y) is no p(x), and bounds are not equally tight
            measured["conditional"] = self.metrics.get("conditional")
            measured["bound"] = self.metrics.get("objective_bound") or "exact"
        return {
            **self.tags,
            **{key: str(value) for key, value in measured.items() if value is not None},
            "content_digest": self.digest,
            "model": str(self.config["model"]),
        }

    @property
    def measurements(self) -> dict[str, Any]:
        """What was measured of it, its objective under its own name."""
        others = {name: value for name, value in self.metrics.items() if name != "objective"}
        name, value = self.metrics.get("objective_name"), self.metrics.get("objective")
        return {**others, **({} if not name or value is None else {name: value})}
