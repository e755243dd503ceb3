"""A finished model of this project, as consumers of the registry would use it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from models import contract, noise

from ..evaluation.finished import CONFIG, load_family
from ..evaluation.metrics.paired import Paired
from ..files import read_json
from .answers.answering import Answering, Typicality
from .answers.typicality import thinned

MODELS = {"contract": contract, "noise": noise}


def load_finished(folder: Path, scores: dict[str, Any] | None = None) -> Answering:
    """The model in a folder of this project."""
    known = None if scores is None else Typicality.of(scores)
    return Answering(load_family(folder), MODELS, read_json(folder / CONFIG), known)


def held_out_scores(folder: Path, draws: int) -> dict[str, Any] | None:
    """What a model is to know of the likelihoods of test examples, of which the folder of its evaluation has each.

    They were averaged over `draws` of noise. None where the family has no likelihood.
    """
    nll = np.asarray(Paired.load(folder / "paired.npz").nll, np.float64)
    if not len(nll):
        return None
    return {"nll": thinned(nll), "draws": draws, "split": "test", "examples": len(nll)}
