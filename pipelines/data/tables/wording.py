"""What was decided about the columns of a table, as sentences, and as lines to paste into params.yaml."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from ...params.table_sections import Table
from ..sources.finding import differing_in_capitals, some
from .deciding import GAPS, REPEATED, Decided
from .looking import Look
from .typed_rows import allowed

PLURAL = {
    "real": "real numbers",
    "integer": "whole numbers or multiples of a step",
    "boolean": "booleans",
    "category": "categories",
    "ordered": "ordered categories",
    "date": "dates",
}

TOTAL = re.compile(r"(grand )?totals?|sums?|summe|gesamt|insgesamt|averages?|means?|mittelwert", re.IGNORECASE)


def sentences_about(decided: Sequence[Decided], looks: Mapping[str, Look], dropped: int, data: Table) -> list[str]:
    """What was decided: the types, what was left out and why, pools, gaps, and what might have been meant otherwise."""
    rows = max((look.rows for look in looks.values()), default=0)
    by_kind: dict[str, list[str]] = {}
    for each in decided:
        if each.type is not None:
            by_kind.setdefault(each.type["kind"], []).append(each.name)
    listed = "; ".join(f"{PLURAL[kind]}: {', '.join(names)}" for kind, names in by_kind.items())
    said = [f"{sum(map(len, by_kind.values()))} columns of {rows:,} rows have types. {listed}."]
    said += _left_out(decided)
    for each in decided:
        if each.type is not None:
            said += _about(each.name, each.type, each.why)
    missing = {each.name: looks[each.name].missing for each in decided if each.type and looks[each.name].missing}
    gaps = ", ".join(f"{name} {count:,}" for name, count in missing.items())
    if gaps and data.missing == "drop":
        said.append(f"{dropped:,} rows with missing values were dropped ({gaps}).")
    elif gaps:
        how = (
            "modelled as what they are, gaps"
            if data.missing == "model"
            else "filled with the mean of the training rows"
        )
        said.append(f"Missing values are {how} ({gaps}).")
    said += _heavy([each.name for each in decided if (each.type or {}).get("heavy")])
    said += _repeated([looks[each.name] for each in decided if each.type and _repeats(looks[each.name], each.type)])
    return [*said, *_suspected_gaps(decided), *_alike(decided), *_only_in_test(decided, looks)]


def _about(name: str, kind: Mapping[str, Any], why: str) -> list[str]:
    """What is worth a sentence of its own about one column."""
    said = []
    if kind.get("pool"):
        rare, count = [text for text, _ in kind["pool"]], sum(count for _, count in kind["pool"])
        said.append(f"Of column {name} the {len(rare):,} rarest categories ({count:,} rows) are one: {some(rare)}.")
    if kind["kind"] == "date" and "would fit too" in why:
        said.append(f"Column {name}: {why}; its format can be given in data.columns.")
    if kind["kind"] == "date" and "%y" in (kind["format"] or "") and kind.get("levels"):
        first, last = (
            pd.Timestamp(int(kind["low"] + k * kind["step"]), unit="s").year for k in (0, kind["levels"] - 1)
        )
        said.append(f"Column {name}: years of two digits were read as {first} to {last}.")
    if kind["kind"] == "date" and "%z" in (kind["format"] or ""):
        said.append(f"Column {name}: times were read as UTC, and come back with the zone +0000.")
    if kind["kind"] == "integer" and kind["decimals"] is None:
        said.append(f"Column {name}: {why}.")
    return said


def _repeats(look: Look, kind: Mapping[str, Any]) -> bool:
    """Are there so few different real numbers that a density of them is none?"""
    return kind["kind"] == "real" and look.distinct is not None and look.there >= REPEATED * look.distinct


def _repeated(looks: Sequence[Look]) -> list[str]:
    if not looks:
        return []
    counted = ", ".join(f"{look.name} ({look.distinct:,} in {look.there:,} rows)" for look in looks)
    return [
        f"Few different numbers that no step divides: {counted}. As real numbers they have no density that is bounded;"
        " write ordered in data.columns if they are few enough."
    ]


def _left_out(decided: Sequence[Decided]) -> list[str]:
    """Each reason once, with all the columns that it is true of."""
    by_reason: dict[str, list[str]] = {}
    for each in decided:
        if each.type is None:
            by_reason.setdefault(each.why, []).append(each.name)
    return [
        f"Column {names[0]} is left out: {why}."
        if len(names) == 1
        else f"{len(names):,} columns are left out ({', '.join(names)}), for each of them: {why}."
        for why, names in by_reason.items()
    ]


def _heavy(names: Sequence[str]) -> list[str]:
    if not names:
        return []
    subject = f"Column {names[0]} has" if len(names) == 1 else f"Columns {', '.join(names)} have"
    return [f"{subject} heavy tails: modelled on the scale of quantiles."]


def _suspected_gaps(decided: Sequence[Decided]) -> list[str]:
    found: dict[str, list[str]] = {}
    for each in decided:
        for value in (each.type or {}).get("values", ()):
            if str(value).strip().lower() in GAPS:
                found.setdefault(str(value), []).append(each.name)
    return [
        f"{text!r} is a category like others of {', '.join(names)}; if it means a gap, write missing_values:"
        f" [{text!r}]."
        for text, names in found.items()
    ]


def sentence_about_total(last: Mapping[str, Any]) -> list[str]:
    """What is said of a last row that may be the sum of those above."""
    found = [name for name, value in last.items() if isinstance(value, str) and TOTAL.fullmatch(value.strip())]
    if not found:
        return []
    return [
        f"The last row may be a total, since its {found[0]} is {last[found[0]]!r}, and was read like the others: if it"
        " is one, remove it from the file."
    ]


def _alike(decided: Sequence[Decided]) -> list[str]:
    """Names that differ in capitals alone, and are told apart."""
    said = []
    for each in decided:
        alike = differing_in_capitals(str(value) for value in (each.type or {}).get("values", ()))
        if alike:
            pairs = some(" and ".join(map(repr, names)) for names in alike)
            lines = json.dumps({alike[0][1]: alike[0][0]}, ensure_ascii=False)
            said.append(
                f"Of column {each.name} names that differ in capitals alone are different ones ({pairs}); if they mean"
                f" the same, write replace: {lines}."
            )
    return said


def _only_in_test(decided: Sequence[Decided], looks: Mapping[str, Look]) -> list[str]:
    """Names that the training file does not have."""
    said = []
    for each in decided:
        before = looks[each.name].before
        names = [str(value) for value in (each.type or {}).get("values", ())]
        new = [] if before is None else [name for name in names if name not in before]
        if new and each.type is not None and not each.type.get("pool"):
            said.append(
                f"Of column {each.name} the test file alone has {some(map(repr, new))}: a model learns that it is rare;"
                " if it means one that the training file has, write replace: {…}."
            )
    return said


def said_of_marks(marks: Mapping[str, Mapping[str, int]]) -> list[str]:
    """What was taken for a gap without being declared."""
    return [
        f"{text!r} is read as a gap wherever it stands, since it stands among numbers"
        f" ({', '.join(f'{name} {count:,}' for name, count in columns.items())})."
        for text, columns in marks.items()
    ]


def paste_ready(names: Sequence[str], types: Sequence[Mapping[str, Any]], why: Sequence[str]) -> str:
    """The types as lines of params.yaml below `data:`, each with what it holds and what decides it."""
    lines = ["columns:"]
    for name, kind, reason in zip(names, types, why, strict=True):
        lines.append(f"  {json.dumps(name, ensure_ascii=False)}: {_value(kind)}  # {allowed(kind)}; {reason}")
    return "\n".join(lines)


def _value(kind: Mapping[str, Any]) -> str:
    if kind["kind"] == "ordered" and kind["dtype"] == "str":
        return json.dumps({"type": "ordered", "order": kind["values"]}, ensure_ascii=False)
    return str(kind["kind"])
