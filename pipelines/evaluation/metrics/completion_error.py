"""How good completions are: how far from what was there, and how different from each other.

    score      E |X - y| - ½ E |X - X'| ÷ |m - y|, in root mean squared distances |·| of the missing numbers
    error      RMSE of the missing numbers as they were drawn ÷ RMSE of the mean of training examples in their place
    diversity  root mean squared distance of two completions of one example ÷ the same

X and X' are two completions, y what was there, m the mean of training examples. The score is the energy score (Gneiting
& Raftery, "Strictly Proper Scoring Rules, Prediction, and Estimation", 2007): on average nothing has a lower one than
draws from p(missing | known). By the error alone draws closer to their mean would win. A draw from p(missing | known)
is as far from the truth as from another draw: a perfect model's diversity is its error. An error well above the
diversity says that completions are sure of what is wrong. Where levels are names, the share of different ones takes the
place of distances and of their squares, and the most frequent name that of the mean.
"""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray


def completion_scores(
    known: NDArray[np.bool_], x: NDArray[Any], drawn: NDArray[Any], train: NDArray[Any], ordered: bool = True
) -> NDArray[np.float64]:
    """The energy score of each example (E,), the mean over masks, divided by the mean example's score over all.

    None of them where there is one completion of each, or the truth does not differ from the mean.
    """
    guess, S = _guess(train, ordered), drawn.shape[2]
    scores, scale = np.zeros((len(known), len(x))), np.zeros((len(known), len(x)))
    for index, (mask, whole) in enumerate(zip(known, drawn, strict=True)):
        made, truth = whole[:, :, ~mask], x[:, ~mask]
        apart = [_distance(made[:, a], made[:, b], ordered) for a, b in combinations(range(S), 2)]
        if apart:
            scores[index] = _distance(made, truth[:, None], ordered).mean(1) - 0.5 * np.mean(apart, 0)
        scale[index] = _distance(guess[~mask], truth, ordered)
    return scores.mean(0) / scale.mean() if S > 1 and scale.any() else np.zeros(0)


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
    guess = _guess(train, ordered)
    return float(np.mean([_apart(guess[~mask], x[:, ~mask], ordered) for mask in known]))


def _guess(train: NDArray[Any], ordered: bool) -> NDArray[Any]:
    """The mean (*event) of training examples, or the most frequent names."""
    return train.astype(np.float64).mean(0) if ordered else _most_frequent(train)


def _distance(a: NDArray[Any], b: NDArray[Any], ordered: bool) -> NDArray[np.float64]:
    """The root mean squared difference of numbers (…, D), or the share of names that differ: (…)."""
    return np.square(a.astype(np.float64) - b).mean(-1) ** 0.5 if ordered else (a != b).mean(-1)


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
