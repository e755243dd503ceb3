"""Whether classes can be shared out among splits that each hold every class; and if not, with which counts they can."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...errors import UserError
from ...params.source_section import Source
from ..sources.finding import counted


def complain_of_classes(
    counts: np.ndarray, numbers: Mapping[str, int], data: Source, unit: str, class_names: Sequence[str]
) -> None:
    """Raise `UserError`, one line, for classes that are too small and for splits that cannot hold every other class.

    `counts` (classes,) are shared out among the training split and others of these `numbers`, 0 if it is not drawn.
    """
    drawn = {name: number for name, number in numbers.items() if number > 0}
    present = counts > 0
    if present.sum() < 2:
        return
    few = present & (counts <= len(drawn))
    wrong = [_few(counts, few, len(drawn) + 1, data, unit, class_names)] if few.any() else []
    enough = counts[present & ~few]
    misfit = _misfit(enough, drawn) if len(enough) else None
    if misfit is not None:
        wrong.append(misfit)
    if wrong:
        raise UserError("; also ".join(wrong))


def _few(counts: np.ndarray, few: np.ndarray, least: int, data: Source, unit: str, class_names: Sequence[str]) -> str:
    """The classes with too few examples to be in each split."""
    numbers = np.flatnonzero(few).tolist()
    way_out = "add some, or set data.rare to train (they go to training only) or to drop"
    if not hasattr(data, "rare"):
        way_out = "add some, or leave the class out" if len(numbers) == 1 else "add some, or leave the classes out"
    if len(numbers) == 1:
        name, count = class_names[numbers[0]], counts[numbers[0]]
        return (
            f"{data.folder}: class {name!r} has {count} {unit}: it needs {least} or more, one for each split; {way_out}"
        )
    each = counted((class_names[number], int(counts[number])) for number in numbers)
    return (
        f"{data.folder}: {len(numbers):,} classes have too few {unit}, {each}: each needs {least} or more, one for each"
        f" split; {way_out}"
    )


def _misfit(counts: np.ndarray, drawn: Mapping[str, int]) -> str | None:
    """The numbers that are too small or too great for the classes, and some that would do."""
    classes, total = len(counts), int(counts.sum())
    if classes == 1:
        return None
    most = total - classes  # what can be held out if one of each class is left to train on
    wrong = {name: number for name, number in drawn.items() if number < classes}
    if not wrong and sum(drawn.values()) <= most:
        return None
    wrong, sign = (wrong, " and ") if wrong else (dict(drawn), " + ")
    keys = sign.join(f"data.{name}_count" for name in wrong)
    values = f"{sum(wrong.values())}" if sign == " + " else " and ".join(map(str, wrong.values()))
    works = " and ".join(
        f"{name}_count: {max(classes, min(number, most // len(drawn)))}" for name, number in drawn.items()
    )
    return (
        f"params.yaml: {keys}: the splits cannot be drawn: {values} {'are' if ' ' in values else 'is'} not allowed:"
        f" each split must hold every class, and the number of classes is {classes}; with at least that many in"
        f" each, and at most {most:,} together, it can be done: {works}"
    )
