"""What a search tries next: Optuna proposes, and sees the place of a choice in its list, and not the choice.

So choices may be anything that YAML can write. Of a search that is gone on with, Optuna is asked for all proposals
again, and told what became of them: it then stands where it stood, its random numbers included.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import Trial, TrialState
from ray.tune.search import Searcher

from ..params.schema import Dimension, Search
from .trials import OBJECTIVE, Journal, Proposal, TrialResult

WORST = 1e30  # the objective of a failure: finite, since percentiles of infinities are no numbers
STARTUP_TRIALS = 10  # proposals at random before Optuna models the objective; half the trials if they are few


@dataclass(frozen=True)
class Space:
    """What is searched: the space of each parameter, which ranges are of integers, and values of the first trial."""

    dimensions: Mapping[str, Dimension]
    integers: frozenset[str] = frozenset()
    start: Mapping[str, Any] = field(default_factory=dict)


class Draws:
    """What Optuna draws from a space."""

    def __init__(self, space: Space, sampler: BaseSampler) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._choices = {key: each.choices for key, each in space.dimensions.items() if each.choices is not None}
        self._distributions = {key: distribution(each, key in space.integers) for key, each in space.dimensions.items()}
        self.study = optuna.create_study(sampler=sampler)
        if space.start:  # Optuna draws what is not given
            self.study.enqueue_trial(self.places(space.start))

    def ask(self) -> Trial:
        """The next draw, in which choices are places."""
        return self.study.ask(self._distributions)

    def places(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values as Optuna knows them."""
        choices = self._choices
        return {key: place_of(value, choices[key]) if key in choices else value for key, value in values.items()}

    def values(self, places: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters that a draw means."""
        return {key: self._choices[key][place] if key in self._choices else place for key, place in places.items()}


class Proposals(Searcher):
    """Proposals for the trials of a journal that are not finished, in order of their numbers."""

    def __init__(self, space: Space, settings: Search, journal: Journal) -> None:
        super().__init__(metric=OBJECTIVE, mode="min")
        self._journal, self._missing = journal, journal.missing(settings.trials)
        self._draws = Draws(space, sampler(settings))
        self._study = self._draws.study
        self._asked: dict[str, Trial] = {}
        for result in journal.results:
            self._study.tell(self._ask(result.number), told(result))

    def suggest(self, trial_id: str) -> Any:
        """The number and the parameters of the next trial, or that there is none."""
        if not self._missing:
            return Searcher.FINISHED
        number = self._missing.pop(0)
        trial = self._asked[trial_id] = self._ask(number)
        if number not in self._journal.proposed:
            self._journal.propose(Proposal(number, self._draws.values(trial.params)))
        return asdict(self._journal.proposed[number])

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tell Optuna the last objective of a trial, or that it failed."""
        self._study.tell(self._asked.pop(trial_id), (result or {}).get(OBJECTIVE, WORST))

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the journal has it all."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the journal has it all."""

    def _ask(self, number: int) -> Trial:
        """Optuna's proposal; or the one that a trial was made with, if that came about in another order."""
        trial, known = self._draws.ask(), self._journal.proposed.get(number)
        places = None if known is None else self._draws.places(known.parameters)
        if places is None or trial.params == places:
            return trial
        self._study.tell(trial, state=TrialState.FAIL)
        self._study.enqueue_trial(places)
        return self._draws.ask()


def place_of(value: Any, choices: Sequence[Any]) -> int:
    """Where a value is among choices. To Python `True` equals 1, and to who searches it does not."""
    same = [choice == value and isinstance(choice, bool) == isinstance(value, bool) for choice in choices]
    return same.index(True)


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
