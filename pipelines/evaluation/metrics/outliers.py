"""Examples that are none of the data, and whether a density can tell.

One should think that a density finds foreign examples unlikely. Often it does not: smooth pictures, of which each
number is easy to guess, get higher likelihoods than the very data that was learnt (Nalisnick et al., "Do Deep
Generative Models Know What They Don't Know?", 2019, arXiv:1810.09136). Typicality asks instead whether a likelihood is
one that training examples have (Nalisnick et al., "Detecting Out-of-Distribution Inputs to Deep Generative Models Using
Typicality", 2019, arXiv:1906.02994), here of single examples:

    typicality(x) = -|log p(x) - mean of log p over training examples|

Either score is judged by the area under its ROC curve: the probability that it is higher for a test example than for a
foreign one, ½ if it cannot tell them apart.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_sample_images
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.nn import functional as F

from models.contract import Event

HEIGHT, WIDTH = 427, 640  # of the photographs, in pixels
ZOOM = 4  # pixels of a photograph, along each side, that become one
GREY = 5  # levels; fewer have nothing between them


def typicality(log_probs: Tensor, of_train: Tensor) -> Tensor:
    """How near log p (N,) is to that of training examples (M,), on average: 0 at best."""
    return -(log_probs - of_train.mean()).abs()


def auroc(of_test: Tensor, of_foreign: Tensor) -> float:
    """The probability that a score is higher for a test example than for a foreign one; NaN where there are NaNs."""
    scores = torch.cat([of_test, of_foreign]).double().cpu()
    if scores.isnan().any():
        return float("nan")
    finite = torch.finfo(torch.float64)
    known = np.repeat([1, 0], [len(of_test), len(of_foreign)])
    return float(roc_auc_score(known, scores.clamp(finite.min, finite.max).numpy()))


def foreign_examples(event: Event, test: NDArray[Any], train: NDArray[Any], seed: int) -> dict[str, NDArray[Any]]:
    """Sets of foreign examples (N, *event), by name, as many as there are of `test` (N, *event).

    noise        each number uniform: over the levels, or over the range of its column in `train` (M, *event)
    shuffled     the numbers of test examples in an order of chance; of vectors each column among the examples,
                 so that the columns are right one by one, and nothing else is
    faded        test examples halfway to the mean of training examples: nearer to all data, and none of it. Here
                 likelihoods are most likely to fail
    flat         one level everywhere
    reversed     test sequences from their end to their beginning
    photographs  parts of the two photographs that scikit-learn brings along
    """
    rng, centre = np.random.default_rng(seed), train.astype(np.float64).mean(0)
    faded = (test + centre) / 2
    if event.kind == "table":
        return {"shuffled": rng.permuted(test, axis=0)}
    if event.levels is None:
        low, high = train.min(0), train.max(0)
        sets = {"noise": rng.uniform(low, high, test.shape), "shuffled": rng.permuted(test, axis=0), "faded": faded}
        return {name: x.astype(test.dtype) for name, x in sets.items()}
    shuffled = rng.permuted(test.reshape(len(test), -1), axis=1).reshape(test.shape)
    sets = {"noise": rng.integers(event.levels, size=test.shape).astype(test.dtype), "shuffled": shuffled}
    one = rng.integers(event.levels, size=(len(test), *(1 for _ in event.shape)))
    sets["flat"] = np.broadcast_to(one, test.shape).astype(test.dtype)
    if event.ordered and event.levels >= GREY:
        sets["faded"] = faded.round().astype(test.dtype)
    if event.kind == "sequence":
        sets["reversed"] = test[..., ::-1].copy()
    elif event.ordered and event.shape[1] <= HEIGHT and event.shape[2] <= WIDTH:
        sets["photographs"] = photographs(event, len(test), rng).astype(test.dtype)
    return sets


def photographs(event: Event, count: int, rng: np.random.Generator) -> NDArray[Any]:
    """Parts (N, C, H, W) of photographs, in colour or grey, smaller, and quantised to the levels of the event."""
    channels, height, width = event.shape
    made = []
    pictures = [torch.from_numpy(each.copy()).permute(2, 0, 1).float() / 255 for each in load_sample_images().images]
    small = [F.avg_pool2d(each, _zoom(each, height, width)) for each in pictures]
    for number in range(count):
        picture = small[number % len(small)]
        top, left = (
            int(rng.integers(side - cut + 1)) for side, cut in zip(picture.shape[1:], (height, width), strict=True)
        )
        part = picture[:, top : top + height, left : left + width]
        made.append(part if channels == part.shape[0] else part.mean(0, keepdim=True).expand(channels, -1, -1))
    assert event.levels is not None
    return (torch.stack(made) * event.levels).long().clamp_max(event.levels - 1).numpy()


def _zoom(picture: Tensor, height: int, width: int) -> int:
    """How many pixels become one: fewer where the photograph would be smaller than an example."""
    return max(1, min(ZOOM, picture.shape[1] // height, picture.shape[2] // width))
