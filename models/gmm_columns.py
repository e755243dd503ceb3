"""Components that are products over the columns of a table, each with a likelihood of its own type: exact, no bound.

    p(x | k) = Π_c p_c(x_c | k)

of names, levels and gaps a probability each (see gmm_categories.py), of numbers a Gaussian on the column's scale, of
integers the mass of their bin (see gmm_normals.py). Given a component the columns are independent; the components make
them depend on each other. What is missing of a row can be drawn exactly, since known columns only weigh the components:

    p(x_missing | x_known) = Σ_k p(k | x_known) p(x_missing | k),      p(k | x_known) ∝ π_k Π_c known p_c(x_c | k)

The latent class model of Lazarsfeld & Henry, 1968; with names and numbers: Hunt & Jorgensen, "Mixture model clustering
for mixed data with missing information", 2003, doi:10.1016/S0167-9473(02)00190-1; McLachlan & Peel, 2000.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from .contract import Event
from .gmm_categories import Categories
from .gmm_components import Components, Sums
from .gmm_normals import ColumnNormals
from .layers.draws import Draw
from .layers.tables.table_numbers import TableNumbers
from .noise import Noise


class Columns(nn.Module, Components):
    """K products. `pseudo` is ε, how many pseudo-examples a component has for each training example."""

    def __init__(self, K: int, event: Event, floor: float, pseudo: float) -> None:
        super().__init__()
        columns = event.columns or ()
        self.floor, self.pseudo = floor, pseudo
        self.seen = TableNumbers(event)
        self.categories = Categories(K, columns)
        self.numbers = ColumnNormals(K, columns)

    @property
    def normals(self) -> int:
        return len(self.numbers.of)

    @property
    def uniforms(self) -> int:
        return len(self.categories.of)

    @property
    def bound(self) -> str | None:
        return None

    @property
    def numbers_of_sums(self) -> int:
        return self.categories.logits.numel() + 3 * self.numbers.means.numel()

    def see(self, x: Tensor, noise: Noise | None = None) -> tuple[Tensor, Tensor]:
        """The rows themselves, in float64, and the slopes of the scales of real numbers."""
        return x.double(), self.numbers.log_slope(x.double()).to(self.numbers.means.dtype)

    def initialise(self, x: Tensor) -> None:
        """The event says all that has to be known."""

    def points(self, x: Tensor) -> Tensor:
        return self.seen.numbers(x)

    def start(self, y: Tensor, member: Tensor, centres: Tensor) -> None:
        self.numbers.start()

    def log_density(self, y: Tensor) -> Tensor:
        return self.log_density_of_known(y, torch.ones_like(y, dtype=torch.bool)).to(self.numbers.means.dtype)

    def log_density_of_known(self, y: Tensor, known: Tensor) -> Tensor:
        return self.categories.log_density(y, known) + self.numbers.log_density(y, known)

    def knows_exactly(self, known: Tensor) -> bool:
        return True

    def sums(self, y: Tensor, r: Tensor) -> Sums:
        return {"outcomes": self.categories.sums(y, r), **self.numbers.sums(y, r)}

    def maximise(self, weight: Tensor, sums: Mapping[str, Tensor]) -> None:
        """The M step, by the priors of both parts."""
        self.categories.maximise(sums["outcomes"], self.pseudo)
        self.numbers.maximise(sums, self.pseudo, self.floor)

    def log_prior(self) -> Tensor:
        """What EM adds to the mean log-likelihood of the training examples, and raises with it, but for a constant."""
        return self.pseudo * (self.categories.log_prior() + self.numbers.log_prior())

    def draw(self, component: Tensor, drawn: Draw, temperature: float, given: tuple[Tensor, Tensor] | None) -> Tensor:
        """Given a component, what is known of a row says nothing of the rest."""
        x = torch.zeros(len(component), self.seen.start.numel(), dtype=torch.float64, device=component.device)
        self.numbers.draw(component, drawn.z, x)
        self.categories.write(self.categories.draw(component, drawn.u[:, 1:], temperature), x)
        return x.float()
