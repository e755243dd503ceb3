"""Dropout whose masks are rows of the global batch's noise, so that any number of workers drops what one would.

Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", 2014.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from .noise import Noise


class Dropout(nn.Module):
    """Features (N, …) of which a share p is set to zero, and the rest scaled by 1/(1-p), within `dropping` alone."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.noise: Noise | None = None

    def extra_repr(self) -> str:
        return f"p={self.p}"

    def forward(self, h: Tensor) -> Tensor:
        if self.noise is None or not self.p or not self.training:
            return h
        kept = self.noise.uniform(*h.shape[1:]) >= self.p
        return h * kept.to(h) / (1 - self.p)


@contextmanager
def dropping(module: nn.Module, noise: Noise) -> Iterator[None]:
    """Let the dropout of a module in training draw its masks from this noise."""
    layers = [layer for layer in module.modules() if isinstance(layer, Dropout) and layer.p]
    for layer in layers:
        layer.noise = noise
    try:
        yield
    finally:
        for layer in layers:
            layer.noise = None
