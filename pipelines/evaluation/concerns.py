"""What is wrong with a model, in sentences for people."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

STUCK = 0.25  # share of all steps for which a concern must have been there, to be one during the training


def gist(concern: str) -> str:
    """A concern without its numbers: that a number is another one is not worth a second line."""
    return re.sub(r"\d[\d.,]*", "#", concern)


class Watch:
    """Concerns of one training, each voiced once: when it has not gone away for a quarter of all steps, or at the end.

    What is wrong in the first steps means nothing, of most families, and nobody should be alarmed by it.
    """

    def __init__(self, steps: int) -> None:
        self._patience = STUCK * steps
        self._since: dict[str, int] = {}  # by gist, the step at which it was there first, of those still there
        self._said: set[str] = set()

    def stuck(self, step: int, concerns: Sequence[str]) -> list[str]:
        """Those of the concerns of a validation that have been there for long and were not voiced yet."""
        self._since = {key: self._since.get(key, step) for key in map(gist, concerns)}
        lasting = [each for each in concerns if step - self._since[gist(each)] >= self._patience]
        return self.unsaid(lasting)

    def unsaid(self, concerns: Sequence[str]) -> list[str]:
        """Those that were not voiced yet; they are now."""
        new = [each for each in concerns if gist(each) not in self._said]
        self._said.update(map(gist, concerns))
        return new


def warnings(evaluated: Iterable[str], trained: Iterable[str]) -> list[str]:
    """What is wrong with an entry by its evaluation, and what else was by its training, each as a sentence."""
    concerns = {gist(concern): concern for concern in (*trained, *evaluated)}  # of two alike that of the evaluation
    return [f"{concern[:1].upper()}{concern[1:]}." for concern in concerns.values()]
