"""Real NVP: couplings that scale as well as shift, and on images more than one resolution.

Each affine coupling moves one half of the numbers by a network of the other half, so that both directions take one
pass. On images the halves are the colours of a checkerboard, seen by a convolutional network at the full resolution,
and, after a squeeze that turns 2×2 pixels into channels, halves of the channels; then half of the channels are
factored out, and the next scale works on the rest.

    w_b = v_b ⊙ exp(s(v_a)) + t(v_a),  w_a = v_a,  s = g ⊙ tanh a(v_a)        (per coupling)
    log p(y) = log N(u; 0, I) + Σ Σ s                                          (over couplings and numbers)

v (N, C, H, W) of images, with v_a as v but for zeros at every other pixel, or (N, C/2, H, W); v (N, D) of tables and
sequences, with v_a and v_b the numbers at even and at odd places, by turns. With `batch_norm` each coupling is followed
by an invertible batch normalisation.

A scale of an image is K couplings with checkerboards, a squeeze, K with channels; the last scale is K + 1 couplings
with checkerboards. There are `scales` of them, or as many as the sides can be halved.

When to use it: for a density, codes and samples of images or vectors in one pass each. Where only scores are needed,
compare it with a `maf`.

Cost in sequential network passes, in both directions the same: K couplings for vectors and sequences; 2K for each scale
of an image but the last, and K + 1 for the last.
Dinh, Sohl-Dickstein & Bengio, "Density Estimation Using Real NVP", 2016 (arXiv:1605.08803).
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field
from pydantic.dataclasses import dataclass as validated
from torch import nn

from .contract import STRICT, Event, Width
from .layers.flows.bijections import BatchNorm, Bijection, Composition
from .layers.flows.couplings import (
    Checkerboard,
    Split,
    TanhCoupling,
    first_or_second,
    lone_number,
    odd_or_even,
    residual_network,
    vector_network,
)
from .layers.flows.flow import Flow, FlowConfig
from .layers.flows.multiscale import MultiScale, Shape, Squeeze, kept_half, squeezed
from .layers.images import halvings


@validated(frozen=True, config=STRICT)
class RealNVPConfig(FlowConfig):
    """Configuration of Real NVP."""

    couplings: int = Field(default=5, ge=2)
    """Couplings of vectors and sequences."""

    hidden: tuple[Width, ...] = Field(default=(256, 256), min_length=1, strict=False)
    """Widths of the hidden layers of the MLP in each coupling of vectors and sequences."""

    scales: int = Field(default=2, ge=1)
    """Resolutions of images, at most; fewer where the sides cannot be halved so often."""

    couplings_per_mask: int = Field(default=3, ge=2)
    """Couplings of images with each kind of mask, per scale; the last scale has one more, with checkerboards."""

    width: Width = 32
    """Features of the residual networks of images, in the first scale; twice as many in each further one."""

    residual_blocks: int = Field(default=2, ge=0)
    """Residual blocks of each of these networks."""

    batch_norm: bool = True
    """Follow each coupling by an invertible batch normalisation."""


class RealNVP(Flow):
    """Affine couplings with bounded scales, on images at several resolutions."""

    Config = RealNVPConfig

    @classmethod
    def refusal(cls, event: Event) -> str | None:
        return super().refusal(event) or lone_number(event)

    def make_bijection(self) -> Bijection:
        D, config = self.event.dimensions, self.config
        if self.event.kind == "image":
            channels, height, width = self.event.shape
            return self._of_images((channels, height, width))
        return Composition(self._couplings([odd_or_even(D, turn) for turn in range(config.couplings)], D))

    def _of_images(self, shape: Shape) -> MultiScale:
        """Scales, of which the first begins with images of a shape (C, H, W)."""
        whole, count = shape, self.config.couplings_per_mask
        scales: list[Bijection] = []
        shapes: list[Shape] = []
        halved = halvings(*shape[1:], most=self.config.scales - 1)
        for scale in range(halved + 1):
            width, last = self.config.width << scale, scale == halved
            parts = self._couplings([Checkerboard(shape, turn) for turn in range(count + last)], shape[0], width)
            if not last:
                shape = squeezed(shape)
                channels = [first_or_second(shape[0], turn) for turn in range(count)]
                parts += [Squeeze(), *self._couplings(channels, shape[0], width)]
            scales.append(Composition(parts))
            shapes.append(shape)
            shape = kept_half(shape)
        return MultiScale(whole, scales, shapes)

    def _couplings(self, splits: Sequence[Split], channels: int, width: int | None = None) -> list[Bijection]:
        """A coupling by each split of so many features, or of channels of images: these have networks of a `width`."""
        parts: list[Bijection] = []
        for split in splits:
            parts.append(TanhCoupling(split, self._network(split.sees, 2 * split.moves, width)))
            if self.config.batch_norm:
                parts.append(BatchNorm(channels))
        return parts

    def _network(self, inputs: int, outputs: int, width: int | None) -> nn.Module:
        if width is None:
            return vector_network(inputs, outputs, self.config.hidden, self.classes)
        return residual_network(inputs, outputs, width, self.config.residual_blocks, self.classes)
