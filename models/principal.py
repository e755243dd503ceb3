"""Principal components: the features that measure the quality of samples where data has no labels to learn from.

The numbers of an example as a network sees them, y (N, I), lose the mean of the training split and are turned onto its
F leading principal components u_f, the directions in which the training split varies most:

    features = (y - μ) U / σ,        σ² = 1/F Σ_f λ_f,        λ_f = variance of the training split along u_f

All components have the one scale σ, the standard deviation of the data along a component in the root mean square. So a
distance is in standard deviations of the data and in proportion to the distance of the examples themselves. Whitening
(a scale per component) would count the faintest noise for as much as what the data is about. With F = I, as for short
vectors, distances are those of the standardised data.

Pearson, 1901; for many dimensions the components come from a randomised subspace iteration: Halko, Martinsson & Tropp,
"Finding Structure with Randomness", 2011 (arXiv:0909.4061).
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from .contract import Event, Features
from .layers.inputs import input_channels, lens, network_input

ROWS = 10_000  # how many examples are looked at, at most
NUMBERS = 1 << 26  # and how many numbers they may have together
EXACT = 1024  # up to so many dimensions the covariance is decomposed in full
OVERSAMPLING, ITERATIONS, SEED = 16, 6, 0  # of the randomised subspace iteration


class PrincipalComponents(nn.Module, Features):
    """Buffers μ (I,), U (I, F) and σ, found in closed form by `fit`."""

    kind: ClassVar[str] = "pca"  # what distances in its features are called after
    mean: Tensor
    components: Tensor
    scale: Tensor

    def __init__(self, event: Event, feature_dimensions: int) -> None:
        super().__init__()
        self.event = event
        self.units = lens(event)
        inputs = event.dimensions // event.shape[0] * input_channels(event)
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("components", torch.zeros(inputs, min(feature_dimensions, inputs)))
        self.register_buffer("scale", torch.ones(()))

    @property
    def rows(self) -> int:
        """How many training examples `fit` wants to see."""
        return max(2, min(ROWS, NUMBERS // len(self.mean)))

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """Find the components of examples (N, *event). The same examples give the same components.

        Fewer than F examples have fewer components; the others stay zero.
        """
        if self.units is not None:
            self.units.initialise(x)
        y = self._inputs(x)
        self.mean.copy_(y.mean(0))
        y = y - self.mean
        count = min(self.components.shape[1], len(y))
        vectors = leading_components(y, count)
        self.components.zero_()[:, :count] = vectors
        variance = (y @ vectors).square().sum() / max(1, len(y) - 1) / self.components.shape[1]
        self.scale.copy_(variance.sqrt() if variance > 0 else torch.ones(()))

    def features(self, x: Tensor) -> Tensor:
        """Feature vectors (N, F)."""
        return (self._inputs(x) - self.mean) @ self.components / self.scale

    def squared_lengths(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The squared distances (N,) from μ of examples: along the components, and in all dimensions."""
        y = self._inputs(x) - self.mean
        return (y @ self.components).square().sum(1), y.square().sum(1)

    def _inputs(self, x: Tensor) -> Tensor:
        return network_input(x, self.event, self.units).flatten(1)


def leading_components(y: Tensor, count: int) -> Tensor:
    """The leading principal components (I, count), orthonormal, of centred y (N, I)."""
    if y.shape[1] <= EXACT:
        double = y.double()
        return torch.linalg.eigh(double.T @ double).eigenvectors.flip(1)[:, :count].to(y)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        width = min(count + OVERSAMPLING, *y.shape)
        return torch.pca_lowrank(y.cpu(), q=width, center=False, niter=ITERATIONS)[2][:, :count].to(y)
