"""Which version of a model is the champion: the one with the best validation objective among those comparable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..params.schema import Requirement
from .candidate import CHAMPION
from .requirements import failing, falling_behind
from .store import Store
from .versions import is_whole, measured, objective, versions

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

CHALLENGER = "challenger"
DECISION, EXPERIMENT = "decision", "dvc_experiment"  # tags
MEASURED_BY = ("objective_name", "data_digest", "fid_features")  # what tags of comparable versions agree in
OF_THE_DATA = ("data_digest", "fid_features")  # those that change with the data
MODELLED = ("conditional", "bound")  # as MEASURED_BY, as far as both versions say it: older ones do not


class NotComparable(Exception):
    """Why a model cannot be measured on other data than its own."""


@dataclass(frozen=True)
class Decision:
    """What became of a model: its version, whether that is the champion now, and why, in one line.

    `compared` is False where the champion stayed because nothing could be compared.
    """

    version: int
    created: bool
    champion: bool
    decision: str
    compared: bool = True


@dataclass(frozen=True)
class Rules:
    """What a version must do to become the champion.

    `experiment` is the name of DVC's experiment that this is. `again` measures a version's objective on the new data.
    """

    min_improvement: float = 0.0
    require: Mapping[str, Requirement] = field(default_factory=dict)
    experiment: str | None = None
    again: Callable[[ModelVersion], float] | None = None


@dataclass(frozen=True)
class Verdict:
    """Does a version become the champion, why, and was it compared?"""

    moves: bool
    why: str
    compared: bool = True


def decide(store: Store, version: ModelVersion, rules: Rules, created: bool) -> Decision:
    """Give or deny a version the alias `champion`, once in its life, and write down which and why.

    `challenger` is the newest version beside it. Experiments of DVC move no alias: they are decided about when they
    are registered outside of one.
    """
    decided = DECISION in version.tags and EXPERIMENT not in version.tags
    if rules.experiment is not None and not decided:
        return _put_off(store, version, rules.experiment, created)
    decision = _repeated(store, version, rules) if decided else _decided(store, version, rules, created)
    _name_challenger(store, version.name)
    return decision


def _decided(store: Store, version: ModelVersion, rules: Rules, created: bool) -> Decision:
    number, name = str(version.version), version.name
    found = verdict(store, version, _champion(store, name), rules)
    if found.moves:
        store.client.set_registered_model_alias(name, CHAMPION, number)
    if EXPERIMENT in version.tags:
        store.client.delete_model_version_tag(name, number, EXPERIMENT)
    # Last: a version without this tag has not been decided about, and will be when the stage runs again.
    store.client.set_model_version_tag(name, number, DECISION, found.why)
    return Decision(int(number), created, found.moves, found.why, found.compared)


def _repeated(store: Store, version: ModelVersion, rules: Rules) -> Decision:
    """A version that was decided about; a champion that is missing is named again."""
    number, name, champion = int(version.version), version.name, _champion(store, version.name)
    known = f"already registered as version {number}"
    if champion is not None:
        return Decision(number, False, int(champion.version) == number, known)
    best = _best(store, version, rules)
    if best is None:
        return Decision(number, False, False, f"{known}; there is no champion: none fulfils register.require")
    store.client.set_registered_model_alias(name, CHAMPION, str(best.version))
    repair = f"{known}; there was no champion, now it is version {best.version}"
    return Decision(number, False, int(best.version) == number, repair)


def _put_off(store: Store, version: ModelVersion, experiment: str, created: bool) -> Decision:
    """Of an experiment no alias tells."""
    number, name = str(version.version), version.name
    why = (
        f"kept: made by the experiment {experiment} of DVC, which moves no alias; `dvc exp apply {experiment}` and"
        " `genera register` decide about it"
    )
    store.client.set_model_version_tag(name, number, EXPERIMENT, experiment)
    store.client.set_model_version_tag(name, number, DECISION, why)
    return Decision(int(number), created, False, why)


def _name_challenger(store: Store, name: str) -> None:
    """Let the alias be that of the newest version that is not the champion, if there is one."""
    aliases = store.client.get_registered_model(name).aliases
    others = [
        str(each.version)
        for each in versions(store, name)
        if str(each.version) != str(aliases.get(CHAMPION)) and EXPERIMENT not in each.tags
    ]
    if not others:
        if CHALLENGER in aliases:
            store.client.delete_registered_model_alias(name, CHALLENGER)
    elif str(aliases.get(CHALLENGER)) != others[0]:
        store.client.set_registered_model_alias(name, CHALLENGER, others[0])


def verdict(store: Store, version: ModelVersion, champion: ModelVersion | None, rules: Rules) -> Verdict:
    """Does a version become the champion, and why.

    Objectives of different kinds are not comparable, nor p(x|y) with p(x), nor bounds that are not equally tight. Where
    the data are others, the champion is measured on them, if it can be. Else it stays, because nothing shows that the
    new version is better, and its owner may move the alias by hand.
    """
    ours = measured(store, version) if rules.require else {}
    lacking = failing(rules.require, ours)
    if lacking:
        kept = "there is no champion" if champion is None else f"kept version {champion.version}"
        return Verdict(False, f"{kept}: {'; '.join(lacking)}")
    if champion is None:
        return Verdict(True, "moved: there was no champion")
    if champion.version == version.version:
        return Verdict(True, "moved: it is the champion")
    differing = _differing(version, champion)
    of_kind = [tag for tag in differing if tag not in OF_THE_DATA]
    if of_kind:
        return _not_comparable(version, champion, of_kind[0])
    if differing:
        return _on_new_rows(version, champion, rules, differing)
    behind = falling_behind(rules.require, ours, measured(store, champion) if rules.require else {})
    if behind:
        return Verdict(False, f"kept version {champion.version}: {'; '.join(behind)}")
    return _better(version, champion, objective(champion), rules)


def _differing(version: ModelVersion, champion: ModelVersion) -> list[str]:
    """The tags in which two versions would have to agree, and do not."""
    both = [tag for tag in MODELLED if tag in version.tags and tag in champion.tags]
    return [tag for tag in (*MEASURED_BY, *both) if version.tags.get(tag) != champion.tags.get(tag)]


def _on_new_rows(version: ModelVersion, champion: ModelVersion, rules: Rules, differing: list[str]) -> Verdict:
    """The verdict where the data changed: the champion is measured on the new validation split."""
    if rules.again is None or "data_digest" not in differing:
        return _not_comparable(version, champion, differing[0])
    try:
        theirs = rules.again(champion)
    except NotComparable as reason:
        return _not_comparable(version, champion, differing[0], str(reason))
    unasked = [name for name, each in rules.require.items() if each.within is not None]
    found = _better(version, champion, theirs, rules)
    note = "; the data are others, and the champion was measured on the new validation split"
    note += f"; within of {', '.join(unasked)} was not asked, since the champion's is of other data" if unasked else ""
    return Verdict(found.moves, found.why + note, found.compared)


def _not_comparable(version: ModelVersion, champion: ModelVersion, tag: str, reason: str = "") -> Verdict:
    """The champion stays."""
    because = f" ({reason})" if reason else ""
    return Verdict(
        False,
        f"kept version {champion.version}: not comparable, its {tag} is {champion.tags.get(tag)} and not"
        f" {version.tags.get(tag)}{because}; to move it by hand: MlflowClient().set_registered_model_alias"
        f"({version.name!r}, {CHAMPION!r}, {version.version})",
        compared=False,
    )


def _better(version: ModelVersion, champion: ModelVersion, theirs: float | None, rules: Rules) -> Verdict:
    """Is the objective of a version lower than the champion's by more than what is asked for?"""
    ours, kind = objective(version), version.tags.get("objective_name", "objective")
    other, least = f"version {champion.version}", f"by more than min_improvement {rules.min_improvement:g}"
    if ours is None:
        return Verdict(False, f"kept {other}: the new version has no measured objective")
    if theirs is None:
        return Verdict(True, f"moved from {other}: {kind} {ours:.6g}, against none measured")
    numbers = f"{kind} {ours:.6g} against {theirs:.6g}"
    if theirs - ours > rules.min_improvement:
        return Verdict(True, f"moved from {other}: {numbers}, lower {least}")
    return Verdict(False, f"kept {other}: {numbers}, not lower {least}")


def _champion(store: Store, name: str) -> ModelVersion | None:
    """The version with the alias, if its files are still there."""
    number = store.client.get_registered_model(name).aliases.get(CHAMPION)
    champion = store.client.get_model_version(name, str(number)) if number is not None else None
    return champion if champion is not None and is_whole(store, champion) else None


def _best(store: Store, version: ModelVersion, rules: Rules) -> ModelVersion | None:
    """The version with the lowest objective among those comparable with the given one; None if none may be it."""
    best = None
    for other in [version, *versions(store, version.name)]:
        comparable = EXPERIMENT not in other.tags and not _differing(other, version) and is_whole(store, other)
        if comparable and verdict(store, other, best, Rules(require=rules.require)).moves:
            best = other
    return best
