"""Glow: steps that all look alike, in which a learnt rotation of the channels decides what a coupling moves next.

A step is a scale and shift per channel that starts by the data (actnorm), an invertible 1×1 convolution, and an affine
coupling of one half of the channels by the other. On images a level is a squeeze, which turns 2×2 pixels into channels,
and `depth` steps; then half of the channels are factored out, and the next level works on the rest. A table is one
level, whose channels are the features, without pixels: the convolution is a linear map of all features.

    v ← e^s ⊙ v + b                                              actnorm, s and b (C,)
    v ← P L (U + diag(ς ⊙ e^d)) v                                1×1 convolution, (C, C) for each pixel
    w_b = v_b ⊙ σ(a(v_a) + 2) + t(v_a),  w_a = v_a               coupling, a and t (N, C/2, H, W)
    u_f = v_f ⊙ exp(a(v_g)) + t(v_g)                             of what is factored out, given what is kept

In the convolution P is a fixed permutation, L and U are triangular, and the signs ς stay as they were at first. The
last line is the learnt prior of the factored half v_f: N(u_f; 0, I) makes v_f normal with a mean and a deviation by
v_g, while codes u stay standard normal. The scale σ(a + 2) of couplings is that of the authors' code.

When to use it: as a `realnvp`, for a density, codes and samples in one pass each. Which of the two fits better is a
matter of the data: try both.

Cost in sequential network passes, in both directions the same, with L levels of depth K: L K + L - 1.
Kingma & Dhariwal, "Glow: Generative Flow with Invertible 1×1 Convolutions", 2018 (arXiv:1807.03039).
"""

from __future__ import annotations

from pydantic import Field
from pydantic.dataclasses import dataclass as validated
from torch import nn

from .contract import STRICT, Event, Width
from .glow_layers import ActNorm, InvertibleLinear
from .layers.flows.bijections import Bijection, Composition
from .layers.flows.couplings import (
    ExpCoupling,
    SigmoidCoupling,
    SingleConvolution,
    first_or_second,
    lone_number,
    plain_network,
    vector_network,
)
from .layers.flows.flow import Flow, FlowConfig
from .layers.flows.multiscale import MultiScale, Shape, Squeeze, kept_half, squeezed
from .layers.images import halvings


@validated(frozen=True, config=STRICT)
class GlowConfig(FlowConfig):
    """Configuration of Glow."""

    levels: int = Field(default=3, ge=1)
    """L, the resolutions of images, at most; fewer where the sides cannot be halved so often."""

    depth: int = Field(default=8, ge=1)
    """K, the steps of each level."""

    width: Width = 64
    """Features of the two hidden layers of the convolutional network in each coupling of images."""

    hidden: tuple[Width, ...] = Field(default=(256, 256), min_length=1, strict=False)
    """Widths of the hidden layers of the MLP in each coupling of vectors."""


class Glow(Flow):
    """Steps of actnorm, invertible 1×1 convolution and affine coupling, on images at several resolutions."""

    Config = GlowConfig

    @classmethod
    def refusal(cls, event: Event) -> str | None:
        reason = super().refusal(event) or lone_number(event)
        if reason is not None or event.kind in ("vector", "table"):
            return reason
        if event.kind == "sequence" or not halvings(*event.shape[1:]):
            return (
                "glow models vectors, and images whose sides are even and 4 or more,"
                f" not {event.in_words}; a realnvp can model it"
            )
        return None

    def make_bijection(self) -> Bijection:
        if self.event.kind == "image":
            channels, height, width = self.event.shape
            return self._of_images((channels, height, width))
        return Composition([part for _ in range(self.config.depth) for part in self._step(self.event.dimensions)])

    def _of_images(self, shape: Shape) -> MultiScale:
        """Levels, of which the first begins with images of a shape (C, H, W)."""
        whole = shape
        levels: list[Bijection] = []
        shapes: list[Shape] = []
        count = halvings(*shape[1:], most=self.config.levels)
        for level in range(count):
            shape = squeezed(shape)
            parts: list[Bijection] = [Squeeze()]
            for _ in range(self.config.depth):
                parts += self._step(shape[0])
            if level + 1 < count:
                halves = first_or_second(shape[0], 0)
                parts.append(ExpCoupling(halves, SingleConvolution(halves.sees, 2 * halves.moves, self.classes)))
            levels.append(Composition(parts))
            shapes.append(shape)
            shape = kept_half(shape)
        return MultiScale(whole, levels, shapes)

    def _step(self, channels: int) -> list[Bijection]:
        halves = first_or_second(channels, 0)
        network = self._network(halves.sees, 2 * halves.moves)
        return [ActNorm(channels), InvertibleLinear(channels), SigmoidCoupling(halves, network)]

    def _network(self, inputs: int, outputs: int) -> nn.Module:
        if self.event.kind == "image":
            return plain_network(inputs, outputs, self.config.width, self.classes)
        return vector_network(inputs, outputs, self.config.hidden, self.classes)
