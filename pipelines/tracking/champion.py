"""Which version of a model is the champion: the one with the best validation objective among those comparable."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .store import Store

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

CHAMPION = "champion"
MEASURED_BY = ("objective_name", "data_digest", "fid_features")  # what tags of comparable versions agree in
MODELLED = ("conditional", "bound")  # the same, as far as both versions say it: older ones do not


@dataclass(frozen=True)
class Decision:
    """What became of a model: its version, whether that is the champion now, and why, in one line."""

    version: int
    created: bool
    champion: bool
    decision: str


def decide(store: Store, version: ModelVersion, min_improvement: float, created: bool) -> Decision:
    """Give or deny a version the alias `champion`, once in its life, and write down which and why."""
    number, name = int(version.version), version.name
    champion = _champion(store, name)
    if "decision" in version.tags:
        if champion is not None:
            return Decision(number, False, int(champion.version) == number, f"already registered as version {number}")
        best = int(_best(store, version).version)
        store.client.set_registered_model_alias(name, CHAMPION, str(best))
        repair = f"already registered as version {number}; there was no champion, now it is version {best}"
        return Decision(number, False, best == number, repair)
    moves, decision = verdict(version, champion, min_improvement)
    if moves:
        store.client.set_registered_model_alias(name, CHAMPION, str(number))
    # Last: a version without this tag has not been decided about, and will be when the stage runs again.
    store.client.set_model_version_tag(name, str(number), "decision", decision)
    return Decision(number, created, moves, decision)


def verdict(version: ModelVersion, champion: ModelVersion | None, min_improvement: float) -> tuple[bool, str]:
    """Does a version become the champion, and why.

    Objectives of different kinds or of different data are not comparable, nor p(x|y) with p(x), nor bounds that are not
    equally tight; then the champion stays, because nothing
    shows that the new version is better, and its owner may move the alias by hand.
    """
    if champion is None:
        return True, "moved: there was no champion"
    if champion.version == version.version:
        return True, "moved: it is the champion"
    ours, theirs = _objective(version), _objective(champion)
    kind, other = version.tags.get("objective_name", "objective"), f"version {champion.version}"
    both = [tag for tag in MODELLED if tag in version.tags and tag in champion.tags]
    for tag in (*MEASURED_BY, *both):
        if version.tags.get(tag) != champion.tags.get(tag):
            return False, (
                f"kept {other}: not comparable, its {tag} is {champion.tags.get(tag)} and not {version.tags.get(tag)}; "
                f"to move it by hand: MlflowClient().set_registered_model_alias"
                f"({version.name!r}, {CHAMPION!r}, {version.version})"
            )
    if ours is None:
        return False, f"kept {other}: the new version has no measured objective"
    if theirs is None:
        return True, f"moved from {other}: {kind} {ours:.6g}, against none measured"
    numbers = f"{kind} {ours:.6g} against {theirs:.6g}"
    if theirs - ours > min_improvement:
        return True, f"moved from {other}: {numbers}, lower by more than min_improvement {min_improvement:g}"
    return False, f"kept {other}: {numbers}, not lower by more than min_improvement {min_improvement:g}"


def _champion(store: Store, name: str) -> ModelVersion | None:
    """The version with the alias, if its files are still there."""
    number = store.client.get_registered_model(name).aliases.get(CHAMPION)
    champion = store.client.get_model_version(name, str(number)) if number is not None else None
    return champion if champion is not None and is_whole(store, champion) else None


def _best(store: Store, version: ModelVersion) -> ModelVersion:
    """The version with the lowest objective among those that are comparable with the given one."""
    best = version
    for other in versions(store, version.name):
        if is_whole(store, other) and verdict(other, best, 0)[0]:
            best = other
    return best


def _objective(version: ModelVersion) -> float | None:
    """The objective in a version's tags; None if it was not measured or is no finite number."""
    try:
        value = float(version.tags["objective"])
    except (KeyError, ValueError):
        return None
    return value if math.isfinite(value) else None


def versions(store: Store, name: str) -> list[ModelVersion]:
    """Every version of a registered model, latest first."""
    found: list[ModelVersion] = []
    token = None
    while True:
        page = store.client.search_model_versions(f"name = '{name}'", page_token=token)
        found, token = found + list(page), page.token
        if not token:
            return sorted(found, key=lambda version: int(version.version), reverse=True)


def is_whole(store: Store, version: ModelVersion) -> bool:
    """Are the files of a version where the registry says? A SQLite file may outlive the folder of artifacts."""
    from mlflow.artifacts import list_artifacts

    files = list_artifacts(artifact_uri=version.source, tracking_uri=store.uri)
    return any(Path(file.path).name == "MLmodel" for file in files)
