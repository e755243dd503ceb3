"""What a component of a mixture can be: a Gaussian in real units, or a product of a likelihood per column of a table.

A mixture sees examples x as `y`, and needs of its K components their log-densities, what the M step sums up, and draws.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from torch import Tensor

from .layers.draws import Draw
from .noise import Noise

NOBODY = 1e-10  # the weight at least of a component
Sums = dict[str, Tensor]  # over examples, each weighted with its responsibilities


class Components(ABC):
    """K distributions of an example."""

    @property
    @abstractmethod
    def normals(self) -> int:
        """How many normal numbers a draw takes."""

    @property
    @abstractmethod
    def uniforms(self) -> int:
        """How many uniform numbers a draw takes, beside that of the component."""

    @property
    @abstractmethod
    def bound(self) -> str | None:
        """None if the mixture is exact for the data's own units, else the name of the lower bound."""

    @abstractmethod
    def see(self, x: Tensor, noise: Noise | None = None) -> tuple[Tensor, Tensor]:
        """What the densities are of, y (N, D), and what log-densities of x (N, *event) have beside them, (N,).

        Without noise an integer that is made continuous is the middle of its bin.
        """

    @abstractmethod
    def initialise(self, x: Tensor) -> None:
        """Fit whatever `see` learns from the data."""

    @abstractmethod
    def points(self, x: Tensor) -> Tensor:
        """Examples as points (N, P) whose distances say how alike they are: what k-means parts."""

    @abstractmethod
    def start(self, y: Tensor, member: Tensor, centres: Tensor) -> None:
        """Begin with the clusters that members (N, K) are 1 in, about `centres` (K, P), as far as the E step needs."""

    @abstractmethod
    def log_density(self, y: Tensor) -> Tensor:
        """log p(y | k) (N, K)."""

    @abstractmethod
    def log_density_of_known(self, y: Tensor, known: Tensor) -> Tensor:
        """log p(y_known | k) (N, K), in float64: that of the numbers of y (N, D) where `known` (N, D) is true."""

    @abstractmethod
    def knows_exactly(self, known: Tensor) -> bool:
        """Is the latter the density of what is known of the data itself, for masks (…, *event)?"""

    @abstractmethod
    def sums(self, y: Tensor, r: Tensor) -> Sums:
        """What the M step needs beside Σ_n r (K,), in float64, by responsibilities r (N, K)."""

    @abstractmethod
    def maximise(self, weight: Tensor, sums: Mapping[str, Tensor]) -> None:
        """The M step from `weight` = Σ_n r and the other sums."""

    @property
    @abstractmethod
    def numbers_of_sums(self) -> int:
        """How many numbers `sums` gives."""

    @abstractmethod
    def draw(self, component: Tensor, drawn: Draw, temperature: float, given: tuple[Tensor, Tensor] | None) -> Tensor:
        """Examples (N, *event) of components (N,), as they are stored.

        `drawn` are `normals` numbers, scaled by the temperature, and behind that of the component `uniforms` others.
        What is `given`, numbers y (N, D) where a mask (N, D) is true, decides about the others.
        """
