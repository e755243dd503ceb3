"""Stage `register`: the finished models enter the registry, and the best version of each entry is its champion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .files import read_json, write_json
from .params import load
from .tracking.registry import register


def run(root: Path) -> None:
    """Register every evaluated entry, and write what became of each to artifacts/register/registered.json."""
    params = load(root / "params.yaml")
    outcome: dict[str, dict[str, Any]] = {}
    for entry, stage in params.evaluate.entries.items():
        metrics = read_json(root / f"artifacts/evaluate/{entry}/metrics.json")
        folder = root / f"artifacts/{stage}/{entry}"
        tags = {key: str(metrics[key]) for key in ("data_digest",) if metrics.get(key)}
        if stage == "distill":
            tags["teacher"] = params.distill.entries[entry].teacher
        done = register(root, entry, folder, metrics, params.register_.min_improvement, {**tags, "made_by": stage})
        print(f"{entry}: version {done.version}: {done.decision}")
        outcome[entry] = {"version": done.version, "champion": done.champion, "decision": done.decision}
    write_json(root / "artifacts/register/registered.json", outcome)
