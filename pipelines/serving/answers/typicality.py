"""How usual an example is, by the likelihoods of examples that the model was not trained on.

    percentile = 100 · (1 + #{i: s_i < s}) / (N + 2)          s the example's log-likelihood, s_i those of held-out data
    typicality = min(1, 2 · min(F, 1 - F)),   F = percentile / 100

Of examples like the held-out ones percentiles are uniform on 0 … 100, whatever the model is worth. A low one says that
the example is unlikely; a typicality near 0 says that it is unlike the data in either way: images of one colour are
often likelier than all others (Nalisnick et al., "Detecting Out-of-Distribution Inputs to Deep Generative Models Using
Typicality", 2019, arXiv:1906.02994).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

KEPT = 2000  # scores that a model carries


@dataclass(frozen=True)
class Typicality:
    """The likelihoods of held-out examples: sorted `nll` in nats (N,), as the report has them.

    They were computed with `draws` of noise, where they are bounds.
    """

    nll: NDArray[np.float64]
    draws: int

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Typicality:
        """What a file of scores holds."""
        return cls(np.asarray(fields["nll"], np.float64), int(fields["draws"]))

    def percentile(self, nll: NDArray[np.float64]) -> NDArray[np.float64]:
        """The percentile of each of these (M,): 0 is the least likely."""
        unlikelier = len(self.nll) - np.searchsorted(self.nll, nll, side="right")
        return 100 * (1 + unlikelier) / (len(self.nll) + 2)


def typicality(percentile: NDArray[np.float64]) -> NDArray[np.float64]:
    """By percentiles (M,)."""
    return np.minimum(1.0, 2 * np.minimum(percentile, 100 - percentile) / 100)


def thinned(nll: NDArray[np.float64]) -> list[float]:
    """At most KEPT of sorted scores, evenly chosen."""
    ordered = np.sort(nll)
    places = np.linspace(0, len(ordered) - 1, min(KEPT, len(ordered))).round().astype(int)
    return [float(each) for each in ordered[places]]
