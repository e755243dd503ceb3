"""Three attacks on a synthetic table, by the library anonymeter (https://github.com/statice/anonymeter).

They are the three risks that the Article 29 Working Party of the EU names in its opinion 05/2014 on anonymisation:

    singling out   a query found in synthetic rows that matches exactly one training row
    linkability    two halves of the columns of a training row, found to be one by their nearest synthetic row
    inference      a column of a training row, guessed from all others by the nearest synthetic row; numbers within 5 %

Giomi et al., "A Unified Framework for Quantifying Privacy Risk in Synthetic Data", 2023 (arXiv:2211.10459). A risk is
how much better an attack does on training rows than on holdout rows, (a - c) / (1 - c) of its success rates: 0 where
synthetic rows say no more of the rows that they were made from than of any others, 1 where they say all. Intervals are
of 95 %.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ...errors import UserError
from .attack_tables import attack_tables
from .column_kinds import ROWS, Columns

ATTACKS = 500  # of a kind
QUERIED = 4  # columns of a query that singles out
ATTEMPTS = 50_000  # at such queries
FEWEST = 100  # different rows of each table
WEAK = "Attack is as good or worse as baseline model"  # the library's warning


@dataclass(frozen=True)
class Risk:
    """A risk with its interval, and the share of attacks that succeed on training rows and on holdout rows.

    An attack is `weak` if it does no better than guessing: then a low risk may be the attack's fault.
    """

    value: float
    low: float
    high: float
    success: float
    control: float
    weak: bool


@dataclass(frozen=True)
class Risks:
    """The risks; that of inference for each column that was guessed. None for all where there are too few rows.

    `real_rows` are the different rows that were attacked, as many of training as of holdout.
    """

    singling_out: Risk | None
    linkability: Risk | None
    inference: dict[str, Risk | None]
    attacks: int
    real_rows: int
    synthetic_rows: int
    reason: str = ""


def attacks_if_installed(
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    synthetic: pd.DataFrame,
    columns: Columns,
    secrets: tuple[str, ...],
    rows: int = ROWS,
    attacks: int = ATTACKS,
    seed: int = 0,
) -> Risks:
    """The risks, or why there are none: the library is not installed, or there is one column."""
    try:
        _library()
    except UserError as error:
        return Risks(None, None, dict.fromkeys(secrets), 0, 0, 0, str(error))
    if len(columns) < 2:
        return Risks(None, None, dict.fromkeys(secrets), 0, 0, 0, "a single column has nothing to be linked with")
    return privacy_attacks(train, holdout, synthetic, columns, secrets, rows, attacks, seed)


def privacy_attacks(
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    synthetic: pd.DataFrame,
    columns: Columns,
    secrets: tuple[str, ...],
    rows: int = ROWS,
    attacks: int = ATTACKS,
    seed: int = 0,
) -> Risks:
    """The risks of the training rows of a synthetic table of two columns or more; `secrets` are those to guess.

    Raises `UserError` where the library is not installed.
    """
    library = _library()
    names = {name: f"c{place}" for place, name in enumerate(columns)}
    ori, control, syn = attack_tables(train, holdout, synthetic, columns, names, rows, seed)
    attacks, fewest = min(attacks, len(ori)), min(len(ori), len(syn))
    if fewest < FEWEST:
        reason = f"{fewest} different rows are too few: {FEWEST} are needed of each table"
        return Risks(None, None, dict.fromkeys(secrets), attacks, len(ori), len(syn), reason)
    tables = {"ori": ori, "syn": syn, "control": control, "n_attacks": attacks}
    every = list(names.values())
    queried = {"n_cols": min(QUERIED, len(every)), "max_attempts": ATTEMPTS, "seed": seed}
    halves = {"aux_cols": (every[::2], every[1::2])}

    def guessing(secret: str) -> dict[str, Any]:
        known = [name for name in every if name != names[secret]]
        return {"aux_cols": known, "secret": names[secret], "regression": columns[secret] != "category"}

    with _seeded(seed):
        found = _risk(library.SinglingOutEvaluator(**tables, **queried), mode="multivariate")
        linked = _risk(library.LinkabilityEvaluator(**tables, **halves), n_jobs=1)
        guessed: dict[str, Risk | None] = {
            name: _risk(library.InferenceEvaluator(**tables, **guessing(name)), n_jobs=1) for name in secrets
        }
    return Risks(found, linked, guessed, attacks, len(ori), len(syn))


def _risk(evaluator: Any, **how: Any) -> Risk:
    """The risk by an evaluator of the library."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        results = evaluator.evaluate(**how).results()
    risk = results.risk()
    rates = results.n_success / results.n_attacks_ori, results.n_control / results.n_attacks_control
    weak = any(str(each.message).startswith(WEAK) for each in heard)
    return Risk(float(risk.value), float(risk.ci[0]), float(risk.ci[1]), float(rates[0]), float(rates[1]), weak)


def _library() -> Any:
    try:
        from anonymeter import evaluators
    except ImportError as error:
        how = "in a checkout of genera, run `uv sync --group privacy`, and evaluate again"
        raise UserError(f"attacks on tables need the package anonymeter, which is not installed: {how}") from error
    return evaluators


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """The library draws its targets by the one generator of NumPy and that of polars, and takes no seed for them."""
    import polars

    state = np.random.get_state()
    np.random.seed(seed)
    polars.set_random_seed(seed)
    try:
        yield
    finally:
        np.random.set_state(state)
