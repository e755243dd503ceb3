r"""Columns that say again what others say: copies, sums, one-hot columns, and categories that follow from others.

Where a column is an affine function of others,

    x_d = c_0 + Σ_{j<d} c_j x_j    in all training rows,

rows of real numbers lie in a subspace, in which they have no density: a likelihood grows for as long as it is trained.
The columns are looked at in their order, by Gram-Schmidt on a sample of the rows, standardised: the residual of one
is what is left of it without its part in the span of those before it. What the sample says is checked in all rows.

Integers and names have probabilities, which are bounded; but what follows from what is worth a word there, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...params.source_section import Source as Settings
from ...params.table_sections import Table
from ..rows import Rows
from ..sources.finding import quoted, some

DEPENDENT = 1e-3  # the residual, in standard deviations of the column, up to which it is said to follow from others
ROUNDED = 1e-5  # up to which nothing but rounding is left
MOST = 500  # columns, beyond which it would take minutes
CELLS = 1 << 21  # of the sample
REPEATED = 10  # times that a value must be seen that determines another one, on average
LEVELS = 1 << 10  # different values, beyond which one determines others by chance

Numbers = NDArray[np.float64]
Columns = Sequence[dict[str, Any]]  # as prepared.py describes them


@dataclass(frozen=True)
class Twin:
    """The column at `place` is c_0 + Σ_j c_j x_j of `others`, up to `off`, its largest residual in its own σ."""

    place: int
    others: tuple[int, ...]
    factors: tuple[float, ...]
    constant: float
    off: float


def sentences_of_twins(train: Rows, columns: Columns, data: Settings) -> list[str]:
    """What is said of columns that follow from others, with the line that leaves them out.

    One sentence for those of real numbers, one for those whose likelihood is bounded, one for values that determine
    others.
    """
    if len(columns) > MOST:
        return [
            f"Whether one of the {len(columns):,} columns follows from others was not looked at: they are too many."
        ]
    found = twins(train, [place for place, column in enumerate(columns) if "values" not in column.get("type", {})])
    real = [twin for twin in found if not any(columns[j].get("levels") for j in (twin.place, *twin.others))]
    said = [
        _said(group, columns, data, group is real)
        for group in (real, [twin for twin in found if twin not in real])
        if group
    ]
    known = {frozenset((twin.place, *twin.others)) for twin in found}
    pairs = [pair for pair in determining(train, columns) if frozenset(pair) not in known]
    return [*said, *_said_of_pairs(pairs, columns)]


def twins(train: Rows, places: Sequence[int]) -> list[Twin]:
    """The columns among `places` that are affine functions of some before them in all rows, but for those with gaps."""
    sample = train.spread(max(2 * len(places) + 2, CELLS // max(1, len(places))))[:, places].astype(np.float64)
    often = np.isnan(sample).mean(0) <= 0.5  # else few rows would be left for the others
    places, sample = [place for place, there in zip(places, often, strict=True) if there], sample[:, often]
    sample = sample[~np.isnan(sample).any(1)]
    if len(sample) < 4 or not places:
        return []
    mean, std = sample.mean(0), sample.std(0)
    z = (sample - mean) / np.where(std > 0, std, 1) / np.sqrt(len(sample))
    basis, free, found = np.empty((len(places), len(sample))), list[int](), list[Twin]()
    for d in np.flatnonzero(std > 0).tolist():
        held, rest = basis[: len(free)], z[:, d].copy()
        for _ in range(2):  # once leaves rounding errors
            rest -= held.T @ (held @ rest)
        left = float(np.linalg.norm(rest))
        if left > DEPENDENT:
            if 2 * len(free) + 4 < len(sample):  # in a space of as many dimensions as rows there is every column
                basis[len(free)] = rest / left
                free.append(d)
            continue
        factors = np.linalg.solve(held @ z[:, free], held @ z[:, d])
        used = [(j, float(factor)) for j, factor in zip(free, factors, strict=True) if abs(factor) > DEPENDENT]
        slopes = [factor * std[d] / std[j] for j, factor in used]
        constant = mean[d] - sum(slope * mean[j] for (j, _), slope in zip(used, slopes, strict=True))
        others = tuple(places[j] for j, _ in used)
        found.append(Twin(places[d], others, tuple(map(float, slopes)), float(constant), left))
    return _checked(train, found, dict(zip(places, std.tolist(), strict=True)))


def _checked(train: Rows, found: Sequence[Twin], std: dict[int, float]) -> list[Twin]:
    """Those that hold in all rows, with their largest residual there."""
    largest = np.zeros(len(found))
    for chunk in train.chunks() if found else ():
        x = chunk.astype(np.float64)
        for at, twin in enumerate(found):
            off = np.abs(x[:, twin.place] - x[:, twin.others] @ np.array(twin.factors) - twin.constant)
            largest[at] = max(largest[at], float(np.nanmax(off, initial=0.0)) / std[twin.place])
    return [
        Twin(twin.place, twin.others, twin.factors, twin.constant, float(off))
        for twin, off in zip(found, largest, strict=True)
        if off <= 10 * DEPENDENT
    ]


def determining(train: Rows, columns: Columns) -> list[tuple[int, int]]:
    """The pairs of columns of names or few integers of which each value of the first goes with one of the second."""
    few = [place for place, column in enumerate(columns) if 2 <= (column.get("levels") or 0) <= LEVELS]
    if not few:
        return []
    x = np.nan_to_num(train.spread(CELLS // len(columns))[:, few], nan=-1).astype(np.int64) + 1  # a gap is a value
    seen = [len(np.unique(column)) for column in x.T]
    pairs = [
        (few[a], few[b])
        for a, b in permutations(range(len(few)), 2)
        if seen[a] * REPEATED <= len(x) and seen[b] >= 2 and _follows(x[:, a], x[:, b])
    ]
    return _hold_in_all(train, pairs, columns)


def _hold_in_all(train: Rows, pairs: list[tuple[int, int]], columns: Columns) -> list[tuple[int, int]]:
    """The pairs of which each value of the first goes with one of the second in all rows."""
    value = {pair: np.full(columns[pair[0]]["levels"] + 1, -1) for pair in pairs}
    for chunk in train.chunks() if pairs else ():
        for pair in list(value):
            a, b = np.nan_to_num(chunk[:, pair], nan=-1).astype(np.int64).T + 1
            known = value[pair].copy()
            known[a] = np.where(known[a] < 0, b, known[a])
            if (known[a] != b).any():
                del value[pair]
            else:
                value[pair] = known
    return list(value)


def _follows(a: NDArray[np.int64], b: NDArray[np.int64]) -> bool:
    """Does each value of a go with a single one of b?"""
    value = np.zeros(a.max() + 1, np.int64)
    value[a] = b
    return bool((value[a] == b).all())


def _said(group: Sequence[Twin], columns: Columns, data: Settings, real: bool) -> str:
    """One sentence about all of them."""
    names = [columns[twin.place]["name"] for twin in group]
    first = f"Column {names[0]} follows" if len(group) == 1 else f"Columns {', '.join(names)} follow"
    shown = "; ".join(_formula(twin, columns) for twin in group)
    because = (
        "such rows have no density of real numbers, and their likelihood grows for as long as it is trained"
        if real
        else "their probabilities are bounded, but samples need not keep to it"
    )
    return f"{first} from others ({shown}): {because}; {_way_out(names, data)}."


def _way_out(names: Sequence[str], data: Settings) -> str:
    """How columns that say nothing new are left out."""
    if not isinstance(data, Table):
        return f"leave {', '.join(names)} out of the array"
    spread = {name.split("=")[0] for name in names if data.categorical and "=" in name}
    plain = [quoted(name) for name in names if name.split("=")[0] not in spread]
    ways = [f"write exclude: [{', '.join(plain)}]"] if plain else []
    if spread:
        ways.append(f"remove {some(sorted(spread))} from data.categorical, by which it becomes a column of names")
    return " and ".join(ways)


def _formula(twin: Twin, columns: Columns) -> str:
    """The column as a function of others, in the units that they have in the source."""
    offset, scale = _unit(columns[twin.place])
    slopes, constant = [], offset + scale * twin.constant
    for j, factor in zip(twin.others, twin.factors, strict=True):
        of_other, by_other = _unit(columns[j])
        slopes.append(scale * factor / by_other)
        constant -= slopes[-1] * of_other
    name, others = columns[twin.place]["name"], [columns[j]["name"] for j in twin.others]
    if len(others) > 3:
        return f"{name} from {some(others)}"
    terms = [f"{_factor(slope)}{other}" for slope, other in zip(slopes, others, strict=True)]
    spreads = [columns[j].get("std", 1.0) * _unit(columns[j])[1] for j in twin.others]
    size = max(abs(slope * spread) for slope, spread in zip(slopes, spreads, strict=True))
    if abs(constant) > 10 * DEPENDENT * size:
        terms.insert(0 if slopes[0] < 0 else len(terms), f"{constant:.4g}")
    sign = "=" if twin.off <= ROUNDED else "≈"
    return f"{name} {sign} {' + '.join(terms)}".replace("+ -", "- ")


def _factor(slope: float) -> str:
    if abs(abs(slope) - 1) < ROUNDED:
        return "" if slope > 0 else "-"
    return f"{slope:.4g}·"


def _unit(column: dict[str, Any]) -> tuple[float, float]:
    """What a number of the prepared rows stands for: offset + scale · number."""
    kind = column.get("type")
    if kind is None:
        return 0.0, 1.0
    if kind.get("levels") is not None:
        return float(kind["low"]), float(kind["step"])
    return (float(kind["mean"]), float(kind["std"])) if "mean" in kind else (0.0, 1.0)


def _said_of_pairs(pairs: Sequence[tuple[int, int]], columns: Columns) -> list[str]:
    if not pairs:
        return []
    both = {frozenset(pair) for pair in pairs if pair[::-1] in pairs}
    name = [column["name"] for column in columns]
    shown = [f"{name[a]} and {name[b]} say the same" for a, b in sorted(map(sorted, both))]
    shown += [f"{name[b]} from {name[a]}" for a, b in pairs if frozenset((a, b)) not in both]
    return [f"Some columns follow from others in all training rows, which samples need not keep to: {some(shown)}."]
