"""Population based training (Jaderberg et al. 2017, arXiv:1711.09846) in rounds that all members end together.

After each round the members of the worst quarter each take up the weights of one of the best quarter, drawn at random,
and go on with parameters near its: *exploit* and *explore*. All others go on as they are. What is drawn depends on the
seed and the number of the trial alone, so that a search that is gone on with is the one that it would have been.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from random import Random
from typing import Any

from optuna.samplers import RandomSampler
from ray.tune.search import Searcher

from ..params.schema import Dimension, Search
from .proposals import Draws, Space, place_of, told
from .trials import OBJECTIVE, Journal, Proposal, TrialResult

SHARE = 4  # one in so many members gives way, and is followed
FACTORS = (0.8, 1.2)  # by one of which a number of a range is changed
REDRAWN = 0.25  # the probability that a parameter is drawn from its whole space instead


class Population(Searcher):
    """Proposals for the rounds of a population that are not finished: trial k is member k mod n in round k div n."""

    def __init__(self, space: Space, settings: Search, journal: Journal) -> None:
        super().__init__(metric=OBJECTIVE, mode="min")
        self._space, self._journal, self._seed = space, journal, settings.seed
        self._members = settings.trials
        self._missing = journal.missing(settings.trials * len(settings.rounds))
        draws = Draws(space, RandomSampler(seed=settings.seed))
        self._first = [draws.values(draws.ask().params) for _ in range(self._members)]

    def suggest(self, trial_id: str) -> Any:
        """The next trial; None while others of the round before are under way."""
        if not self._missing:
            return Searcher.FINISHED
        number = self._missing[0]
        if number not in self._journal.proposed:
            of_round = [
                each for each in self._journal.results if each.number // self._members == number // self._members - 1
            ]
            if number >= self._members and len(of_round) < self._members:
                return None
            if of_round and all(each.objective is None for each in of_round):
                return Searcher.FINISHED  # there are no weights to go on with
            self._journal.propose(self._proposal(number, of_round))
        self._missing.pop(0)
        return asdict(self._journal.proposed[number])

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Nothing: the journal has it."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the journal has it all."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the journal has it all."""

    def _proposal(self, number: int, before: list[TrialResult]) -> Proposal:
        """What a trial goes on with after the round before."""
        if not before:
            return Proposal(number, self._first[number])
        ranked = sorted(before, key=lambda each: (told(each), each.number))
        count = max(1, self._members // SHARE)
        best = [each for each in ranked[:count] if each.failure is None]
        own = before[number % self._members]
        random, stays = Random(f"{self._seed} {number}"), own not in ranked[-count:] and own.failure is None
        parent = own if stays else random.choice(best)
        parameters = own.parameters if stays else explored(self._space, parent.parameters, random)
        return Proposal(number, parameters, parent.number, [*parent.earlier, parent.parameters])


def explored(space: Space, parameters: Mapping[str, Any], random: Random) -> dict[str, Any]:
    """Parameters near others: a number of a range times 0.8 or 1.2 within it, a choice beside another in its list."""
    return {
        key: _near(dimension, parameters[key], key in space.integers, random)
        for key, dimension in space.dimensions.items()
    }


def _near(dimension: Dimension, value: Any, integer: bool, random: Random) -> Any:
    anywhere = random.random() < REDRAWN
    if dimension.choices is not None:
        if anywhere:
            return random.choice(dimension.choices)
        place = place_of(value, dimension.choices) + random.choice((-1, 1))
        return dimension.choices[min(max(place, 0), len(dimension.choices) - 1)]
    assert dimension.low is not None  # Dimension has validated both
    assert dimension.high is not None
    low, high = dimension.low, dimension.high
    if not anywhere:
        found = value * random.choice(FACTORS)
    elif dimension.log:
        found = math.exp(random.uniform(math.log(low), math.log(high)))
    else:
        found = random.uniform(low, high)
    found = min(max(found, low), high)
    return round(found) if integer else found
