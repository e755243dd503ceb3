"""Codes: what lies between two examples, and what single dimensions of a code do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from . import sights
from .opened import ROWS, Opened, as_frame
from .own_examples import Example, drawn
from .python_lines import script

SLIDERS = 8  # dimensions at most
ENCODED = 64  # samples whose codes say which dimensions are used most
UNUSED = 1e-3  # of the largest variance, below which a dimension is taken for unused
REACH = 3.0  # standard deviations by which a slider moves a dimension to either side


@dataclass(frozen=True)
class Dial:
    """A dimension of the code, and the standard deviation that it has over samples."""

    dimension: int
    deviation: float


@dataclass(frozen=True, eq=False)
class Pair:
    """Two examples of one class if there are classes, their codes (2, L), and the dimensions to move."""

    example: Example
    codes: np.ndarray
    dials: tuple[Dial, ...]


def pair(opened: Opened, example: Example, label: str | None) -> Pair:
    """Two examples and their codes. A conditional model keeps class and code apart, so both are of one class."""
    codes = encode(opened, example, label)
    of_samples = encode(opened, drawn(opened, 0, label, n=ENCODED), label).astype(np.float64)
    variance = of_samples.var(0)
    used = [d for d in np.argsort(-variance, kind="stable")[:SLIDERS] if variance[d] > UNUSED * variance.max()]
    dials = [Dial(int(d), float(f"{np.sqrt(variance[d]):.4g}")) for d in used]
    return Pair(example, codes, tuple(dials))


def encode(opened: Opened, example: Example, label: str | None) -> np.ndarray:
    """Codes (N, L)."""
    return np.asarray(opened.ask(example.data, _params(opened, "encode", label)))


def _params(opened: Opened, task: str, label: str | None) -> dict[str, Any]:
    """A request with the class; rows of a table have theirs in a column when they are encoded."""
    in_column = task == "encode" and opened.label_column is not None
    return {"task": task} | ({} if label is None or in_column else {"labels": [label]})


def between(opened: Opened, given: Pair, share: float, label: str | None) -> tuple[str, str]:
    """The first example, what has the code at `share` of the straight way to the second, and the second."""
    a, b = given.codes
    made = opened.ask((a + share * (b - a))[None], _params(opened, "decode", label))
    captions = ["First", f"{share:.0%} of the way", "Second"]
    x = given.example.data
    if opened.kind in ROWS:
        body = _joined(opened, [x[:1], made, x[1:]], captions)
    else:
        body = sights.examples(opened, np.concatenate([x[:1], np.asarray(made), x[1:]]), captions)
    lines = [given.example.python, f"a, b = {opened.loading.call('x', _params(opened, 'encode', label))}"]
    decode = opened.loading.call(f"np.array([a + {share!r} * (b - a)])", _params(opened, "decode", label))
    made_by = script(opened.loading, *lines, f"made = {decode}")
    return sights.answer("Between two examples", body, given.example.note), made_by


def moved(opened: Opened, given: Pair, steps: Sequence[float], label: str | None) -> tuple[str, str]:
    """The code of the first example decoded, and the same with each dial moved by so many standard deviations."""
    dimensions = [dial.dimension for dial in given.dials]
    by = [round(step * dial.deviation, 6) for step, dial in zip(steps, given.dials, strict=True)]
    code = given.codes[:1].copy()
    code[0, dimensions] += by
    decoding = _params(opened, "decode", label)
    made = opened.ask(np.concatenate([given.codes[:1], code]), decoding)
    captions = ["As it is", "Moved"]
    shown = _joined(opened, [made], captions) if opened.kind in ROWS else sights.examples(opened, made, captions)
    lines = [
        given.example.python,
        f"z = {opened.loading.call('x[:1]', _params(opened, 'encode', label))}",
        f"z[0, {dimensions}] += {by}",
        f"made = {opened.loading.call('z', decoding)}",
    ]
    return sights.answer("The code of the first, decoded", shown), script(opened.loading, *lines)


def _joined(opened: Opened, parts: Sequence[Any], captions: Sequence[str]) -> str:
    """Rows of several answers in one table."""
    return sights.table(pd.concat([as_frame(opened, part) for part in parts]), captions)
