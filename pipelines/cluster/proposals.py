"""What a search tries next: Optuna proposes, and sees the place of a choice in its list, and not the choice.

So choices may be anything that YAML can write. Of a search that is gone on with, Optuna is asked for all proposals
again, and told what became of them: it then stands where it stood, its random numbers included.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import Trial, TrialState
from ray.tune.search import Searcher

from ..params.schema import Dimension, Search
from .trials import OBJECTIVE, Journal, TrialResult

WORST = 1e30  # the objective of a failure: finite, since percentiles of infinities are no numbers
STARTUP_TRIALS = 10  # proposals at random before Optuna models the objective; half the trials if they are few


@dataclass(frozen=True)
class Space:
    """What is searched: the space of each parameter, which ranges are of integers, and values of the first trial."""

    dimensions: Mapping[str, Dimension]
    integers: frozenset[str] = frozenset()
    start: Mapping[str, Any] = field(default_factory=dict)


class Proposals(Searcher):
    """Proposals for the trials of a journal that are not finished, in order of their numbers."""

    def __init__(self, space: Space, settings: Search, journal: Journal) -> None:
        super().__init__(metric=OBJECTIVE, mode="min")
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._journal, self._missing = journal, journal.missing(settings.trials)
        self._choices = {key: each.choices for key, each in space.dimensions.items() if each.choices is not None}
        self._distributions = {key: distribution(each, key in space.integers) for key, each in space.dimensions.items()}
        self._study = optuna.create_study(sampler=sampler(settings))
        if space.start:  # Optuna draws what is not given
            self._study.enqueue_trial({key: self._place(key, value) for key, value in space.start.items()})
        self._asked: dict[str, Trial] = {}
        for result in journal.results:
            self._study.tell(self._ask(result.number), told(result))

    def suggest(self, trial_id: str) -> Any:
        """The number and the parameters of the next trial, or that there is none."""
        if not self._missing:
            return Searcher.FINISHED
        number = self._missing.pop(0)
        trial = self._asked[trial_id] = self._ask(number)
        parameters = {key: self._value(key, place) for key, place in trial.params.items()}
        if number not in self._journal.proposed:
            self._journal.propose(number, parameters)
        return {"number": number, "parameters": parameters}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tell Optuna the last objective of a trial, or that it failed."""
        self._study.tell(self._asked.pop(trial_id), (result or {}).get(OBJECTIVE, WORST))

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the journal has it all."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the journal has it all."""

    def _ask(self, number: int) -> Trial:
        """Optuna's proposal; or the one that a trial was made with, if that came about in another order."""
        trial, known = self._study.ask(self._distributions), self._journal.proposed.get(number)
        places = None if known is None else {key: self._place(key, value) for key, value in known.items()}
        if places is None or trial.params == places:
            return trial
        self._study.tell(trial, state=TrialState.FAIL)
        self._study.enqueue_trial(places)
        return self._study.ask(self._distributions)

    def _place(self, key: str, value: Any) -> Any:
        """A value as Optuna knows it. To Python `True` equals 1, and to who searches it does not."""
        if key not in self._choices:
            return value
        same = (
            choice == value and isinstance(choice, bool) == isinstance(value, bool) for choice in self._choices[key]
        )
        return list(same).index(True)

    def _value(self, key: str, place: Any) -> Any:
        return self._choices[key][place] if key in self._choices else place


def told(result: TrialResult) -> float:
    """What Optuna is told of a finished trial."""
    return judged(WORST if result.objective is None else result.objective)


def judged(objective: float) -> float:
    """An objective as Optuna and ASHA see it: one that is no number counts as the worst."""
    return objective if math.isfinite(objective) else WORST


def distribution(dimension: Dimension, integer: bool) -> BaseDistribution:
    """The distribution that Optuna draws one parameter from: a range includes both ends, a choice is its place."""
    if dimension.choices is not None:
        return CategoricalDistribution(range(len(dimension.choices)))
    assert dimension.low is not None  # Dimension has validated both
    assert dimension.high is not None
    if integer:
        return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log)


def sampler(settings: Search) -> BaseSampler:
    """What proposes."""
    if settings.sampler == "random":
        return RandomSampler(seed=settings.seed)
    return TPESampler(seed=settings.seed, n_startup_trials=min(STARTUP_TRIALS, math.ceil(settings.trials / 2)))
