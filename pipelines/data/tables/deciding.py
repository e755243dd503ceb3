"""The type of each column, by what was seen of it and by what the parameters say; and why.

Nothing is decided in silence: each type has a reason, each column that is left out a sentence, and all that cannot be
decided is one message.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import UserError
from ...params.table_sections import ColumnOptions
from ..sources.finding import some
from .looking import BOOLEANS, Look
from .odd_texts import complain_of_texts
from .typed_rows import as_text

EXACT = 1 << 24  # integers up to which float32 has all
REPEATED = 3  # how often each number with decimals is there, on average, where they are steps and not measurements
POOLED = 100  # names, beyond which the rare ones are pooled
FEW = 20  # rows, among which it says nothing that all values differ; or different numbers that are no measurements
DENSE = 1.1  # the range of whole numbers that all differ and number rows, in rows
NUMBER = re.compile(r"(^|[\W_])(id|ids|key|uuid|guid|index|row|rownum|unnamed: \d+|no|nr)$", re.IGNORECASE)
CAMEL = re.compile(r"[a-z](Id|ID|Key|No|Nr)$")
ATOM = 0.05  # the share of one value from which a density has no bound there that means anything
TAIL = 10  # how many times as wide as the inner nine tenths of a column its range is, where its tails are heavy
GAPS = ("?", "na", "n/a", "nan", "null", "none", "-", "--", "#n/a", "unknown", "missing")  # how people write gaps


@dataclass(frozen=True)
class Decided:
    """What becomes of a column: its type (see typed_rows.py), or None if it is left out; and why."""

    name: str
    type: dict[str, Any] | None
    why: str


def decide(looks: list[Look], options: Mapping[str, ColumnOptions]) -> list[Decided]:
    """The type of every column. A UserError names all columns whose types cannot be found, or cannot be as asked."""
    decided, wrong = [], []
    for look in looks:
        try:
            decided.append(_decide(look, options.get(look.name, ColumnOptions())))
        except ValueError as error:
            wrong.append(f"{look.name}: {error}")
    if wrong:
        raise UserError(f"params.yaml: data.columns: {'; '.join(wrong)}")
    return decided


def _decide(look: Look, option: ColumnOptions) -> Decided:
    asked = option.type
    if asked == "leave_out":
        return Decided(look.name, None, "as data.columns says")
    if not look.there:
        return Decided(look.name, None, "it has no values at all")
    if look.infinite:
        raise ValueError(f"{look.infinite:,} of {look.there:,} numbers are infinite: mend the file, or leave_out")
    if asked is None:
        complain_of_texts(look)
        left = _left_out(look)
        if left is not None:
            return Decided(look.name, None, left)
    kind, why = (asked, "as data.columns says") if asked is not None else _found(look)
    makers = {"real": _number, "integer": _number, "date": _date}
    made = makers.get(kind, _names)(look, kind, option)
    return Decided(look.name, made, why)


def marks_of_gaps(looks: Collection[Look]) -> dict[str, dict[str, int]]:
    """The texts, usual for gaps, that stand among numbers and nothing else does: how often in which columns."""
    found: dict[str, dict[str, int]] = {}
    for look in looks:
        if look.numbers > look.there / 2 and all(text.strip().lower() in GAPS for text in look.odd):
            for text, count in look.odd.items():
                found.setdefault(text, {})[look.name] = count
    return found


def _left_out(look: Look) -> str | None:
    """Why a column is none that a model could learn: constant, or an identifier."""
    if look.distinct == 1 and not look.missing:
        value = next(iter(look.values or ()))
        return f"it is constant, {_shown(value)} in all {look.rows:,} rows"
    if look.there < FEW:
        return None
    if not look.numeric and look.numbers > look.there / 2:
        return None  # numbers beside a few texts are asked about
    all_differ = look.distinct == look.there or (look.distinct is None and look.rising)
    if look.numeric and not look.zero_led and look.decimals == 0:
        dense = look.high - look.low + 1 <= DENSE * look.there
        named = NUMBER.search(look.name) or CAMEL.search(look.name)
        if all_differ and (dense or named):
            return "it numbers the rows: whole numbers that all differ"
        return None
    if (look.numeric and not look.zero_led) or look.dates:
        return None
    if all_differ:
        return "its texts all differ, as identifiers do"
    if look.distinct is None or look.distinct > max(POOLED, look.there / 2):
        many = "more than 10,000" if look.distinct is None else f"{look.distinct:,}"
        return f"it is free text: {many} different ones in {look.there:,} rows"
    return None


def _found(look: Look) -> tuple[str, str]:
    """The type by what was seen, and what decides it."""
    if "date" in look.stored:
        return "date", "the file says so"
    if _boolean(look):
        return "boolean", f"all values are {' or '.join(map(str, look.values or ()))}"
    if look.numeric and look.zero_led:
        return "category", "its numbers begin with zeros or a plus, or have 17 digits or more, as codes do"
    if look.numeric:
        return _found_number(look)
    if look.dates:
        first, *others = look.dates
        also = f"; {' and '.join(others)} would fit too" if others else ""
        return "date", f"all values are dates like {first}{also}"
    if look.numbers > look.there / 2:
        texts = some(f"{text!r} ({count:,})" for text, count in look.odd.most_common())
        remedy = (
            look.hint or f"write missing_values: [{next(iter(look.odd))!r}] if that is a gap, or the type, category"
        )
        raise ValueError(f"{look.numbers:,} numbers beside the texts {texts}: {remedy}")
    return "category", f"{look.distinct:,} different texts"


def _found_number(look: Look) -> tuple[str, str]:
    if look.decimals == 0:
        return "integer", "all values are whole numbers"
    repeats = look.there / (look.distinct or look.there)
    if look.decimals is not None and repeats >= REPEATED:
        return "integer", f"all values are multiples of {_step(look):g}, each there {repeats:.0f} times on average"
    if look.decimals is not None and look.values:
        value, count = look.values.most_common(1)[0]
        if count >= max(FEW, ATOM * look.there):
            return "integer", f"multiples of {_step(look):g}, {value:g} in {count:,} of {look.there:,} rows"
    if look.distinct is not None and look.distinct <= FEW and repeats >= REPEATED:
        return "ordered", f"{look.distinct} different numbers, each there {repeats:.0f} times on average"
    return "real", "numbers with decimals"


def _boolean(look: Look) -> bool:
    if look.stored == {"bool"}:
        return True
    known = {str(value).lower() for value in look.values or ()}
    return not look.numeric and len(look.values or ()) == 2 and any(known == set(pair) for pair in BOOLEANS)


def _number(look: Look, kind: str, option: ColumnOptions) -> dict[str, Any]:
    if not look.numeric or "date" in look.stored:
        raise ValueError(f"cannot be {kind}: it holds {some(look.odd) or 'dates'}")
    whole = look.decimals == 0
    made: dict[str, Any] = {
        "kind": kind,
        "dtype": "int64" if whole else "float64",
        "decimals": look.decimals,
        "heavy": kind == "real" and _heavy(look),
    }
    if kind == "real":
        return {**made, "dtype": "float64"}
    step = option.step or _step(look)
    if look.decimals is None and option.step is None:
        raise ValueError(
            "cannot be integer: its numbers are no multiples of a step; give one: {type: integer, step: …}"
        )
    return {**made, **_lattice(look.low, look.high, step)}


def _date(look: Look, kind: str, option: ColumnOptions) -> dict[str, Any]:
    if not look.dates:
        raise ValueError(f"cannot be date: {some(look.values or look.odd)}: give the format, as strftime has it")
    form, moments = next(iter(look.dates.items()))
    made = {"kind": kind, "dtype": "str" if form else "datetime64[ns]", "format": form or None, "decimals": None}
    return {**made, "heavy": False, **_lattice(moments.low, moments.high, max(1, moments.step) / 1e6)}


def _names(look: Look, kind: str, option: ColumnOptions) -> dict[str, Any]:
    if look.values is None:
        raise ValueError(f"cannot be {kind}: it has more than 10,000 different values")
    counts = Counter({_as_named(value): count for value, count in look.values.items()})
    if kind == "boolean" and len(counts) > 2:
        raise ValueError(f"cannot be boolean: it has {len(counts)} different values, {some(counts)}")
    if kind == "ordered":
        numbers = look.numeric and option.order is None
        values = _order(look, option, counts)
        return {"kind": kind, "dtype": "float64", "values": [*map(float, values)]} if numbers else {
            "kind": kind, "dtype": "str", "values": values
        }  # fmt: skip
    most = option.pool or POOLED
    kept = [name for name, _ in counts.most_common(most - 1 if len(counts) > most else None)]
    rare = {name: count for name, count in counts.items() if name not in set(kept)}
    made: dict[str, Any] = {"kind": kind, "dtype": _dtype(look), "values": in_order(kept)}
    if rare:
        made |= {"values": [*made["values"], _unused(counts)], "pool": [[name, rare[name]] for name in in_order(rare)]}
    if made["dtype"] in ("bool", "int64"):
        made["values"] = [name == "True" if made["dtype"] == "bool" else int(name) for name in made["values"]]
    return made


def in_order(names: Collection[str]) -> list[str]:
    """Names sorted, those that are all numbers by their value."""
    try:
        return sorted(names, key=lambda name: (float(name), name))
    except ValueError:
        return sorted(names)


def _as_named(value: Any) -> str:
    return as_text(value) if isinstance(value, float) else str(value)


def _dtype(look: Look) -> str:
    """What names come back as."""
    if look.stored == {"bool"} or set(look.values or ()) == {"True", "False"}:
        return "bool"
    whole = look.numeric and not look.zero_led and look.decimals == 0
    return "int64" if whole and (look.distinct or 0) <= POOLED else "str"


def _unused(names: Collection[str]) -> str:
    """A name for the rare ones that is none of them."""
    name = "(rare)"
    while name in names:
        name = f"({name})"
    return name


def _order(look: Look, option: ColumnOptions, counts: Collection[str]) -> list[str]:
    if option.order is None:
        if not look.numeric:
            raise ValueError("ordered needs the order, from the least on: {type: ordered, order: [low, middle, high]}")
        return in_order(counts)
    absent = [name for name in counts if name not in option.order]
    if absent:
        raise ValueError(f"the order lacks {some(absent)}")
    return list(option.order)


def _lattice(low: float, high: float, step: float) -> dict[str, Any]:
    """Numbers as multiples of a step, if float32 has them all."""
    levels = round((high - low) / step) + 1
    return {"low": low, "step": step, "levels": levels} if levels <= EXACT else {"levels": None}


def _step(look: Look) -> float:
    """The greatest number of which all values are multiples, from the least on."""
    unit = 10.0 ** -(look.decimals or 0)
    if look.values is None:
        return unit
    places = np.rint((np.array(sorted(look.values), np.float64) - look.low) / unit).astype(np.int64)
    return float(max(1, np.gcd.reduce(places))) * unit


def _heavy(look: Look) -> bool:
    """Do single values lie much farther out than nine tenths do?"""
    low, high = np.quantile(np.concatenate(look.sample), [0.05, 0.95])
    return bool(look.high - look.low > TAIL * (high - low))


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else repr(value)
