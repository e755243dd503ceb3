"""How good completions are: how far from what was there, and how different from each other.

    error      RMSE of the missing numbers as they were drawn ÷ RMSE of the mean of training examples in their place
    diversity  root mean squared distance of two completions of one example ÷ the same

A draw from p(missing | known) is as far from the truth as from another draw: a perfect model's diversity is its error.
An error well above the diversity says that completions are sure of what is wrong. Where levels are names, the share of
different ones takes the place of squared distances, and the most frequent name that of the mean.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray


def completion_error(
    known: NDArray[np.bool_], x: NDArray[Any], drawn: NDArray[Any], train: NDArray[Any], ordered: bool = True
) -> float | None:
    """The error of completions `drawn` (M, E, S, *event) of x (E, *event), of which masks (M, *event) say the known.

    `train` (N, *event) are training examples. None where the truth does not differ from their mean.
    """
    apart = [
        _apart(each[:, :, ~mask], x[:, None][:, :, ~mask], ordered) for mask, each in zip(known, drawn, strict=True)
    ]
    return _ratio(float(np.mean(apart)), _of_the_mean(known, x, train, ordered), ordered)


def completion_diversity(
    known: NDArray[np.bool_], x: NDArray[Any], drawn: NDArray[Any], train: NDArray[Any], ordered: bool = True
) -> float | None:
    """The diversity of completions; None where there is one of each, or the truth does not differ from the mean."""
    if drawn.shape[2] < 2:
        return None
    apart = [
        _apart(made[:, a][:, ~mask], made[:, b][:, ~mask], ordered)
        for mask, made in zip(known, drawn, strict=True)
        for a, b in pairwise(range(drawn.shape[2]))
    ]
    return _ratio(float(np.mean(apart)), _of_the_mean(known, x, train, ordered), ordered)


def _of_the_mean(known: NDArray[np.bool_], x: NDArray[Any], train: NDArray[Any], ordered: bool) -> float:
    """How far the missing numbers are from the mean of training examples."""
    guess = train.astype(np.float64).mean(0) if ordered else _most_frequent(train)
    return float(np.mean([_apart(guess[~mask], x[:, ~mask], ordered) for mask in known]))


def _apart(a: NDArray[Any], b: NDArray[Any], ordered: bool) -> float:
    """The mean squared difference of numbers, or the share of names that differ."""
    return float(np.square(a.astype(np.float64) - b).mean()) if ordered else float((a != b).mean())


def _ratio(some: float, whole: float, ordered: bool) -> float | None:
    if whole == 0:
        return None
    return (some / whole) ** 0.5 if ordered else some / whole


def _most_frequent(train: NDArray[Any]) -> NDArray[Any]:
    """The most frequent level of each place, (*event)."""
    counts = np.stack([(train == level).sum(0) for level in range(int(train.max()) + 1)])
    return counts.argmax(0)
