"""Coupling layers: bijections that move one part of the numbers by a network of the other part.

The numbers v fall into v_a, which stays and is shown to a network, and v_b, which the network's outputs move:

    w_a = v_a
    w_b = v_b ⊙ exp(s(v_a)) + t(v_a),      log |det dw/dv| = Σ s(v_a)

The network is never inverted, so it may be anything, and *both directions take one pass of it*. What distinguishes the
families is the log scale s, made of network outputs a:

    additive  s = 0                       Dinh et al., "NICE", 2014 (arXiv:1410.8516)
    tanh      s = g ⊙ tanh a, g learnt    Dinh et al., "Real NVP", 2016 (arXiv:1605.08803)
    sigmoid   s = log σ(a + 2)            Kingma & Dhariwal, "Glow", 2018 (arXiv:1807.03039)
    exp       s = a, softly clipped       the same, for the learnt prior of what is factored out

The last layer of each network starts at zero: t = 0, and s = 0, or log σ(2) = -0.13 for the sigmoid.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...contract import Event
from ..coders import MLP
from ..normal import bounded
from ..starts import zeroed
from ..workers import channelwise
from .bijections import Bijection
from .multiscale import Shape


class Split(nn.Module, ABC):
    """What a coupling shows to its network, and what it moves: so many features or channels of each."""

    sees: int
    moves: int

    @abstractmethod
    def forward(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """What is shown and what is moved of v (N, C, …)."""

    @abstractmethod
    def merge(self, shown: Tensor, moved: Tensor) -> Tensor:
        """The whole (N, C, …) again."""

    def allowed(self, outputs: Tensor) -> Tensor:
        """Shifts or log scales, 0 wherever nothing may move."""
        return outputs


class Halves(Split):
    """Of `size` features or channels, those that are `shown` and those that are `moved`."""

    def __init__(self, size: int, shown: slice, moved: slice) -> None:
        super().__init__()
        self.shown, self.moved = shown, moved
        self.sees, self.moves = len(range(size)[shown]), len(range(size)[moved])

    def extra_repr(self) -> str:
        return f"{self.shown}, {self.moved}"

    def forward(self, v: Tensor) -> tuple[Tensor, Tensor]:
        return v[:, self.shown], v[:, self.moved]

    def merge(self, shown: Tensor, moved: Tensor) -> Tensor:
        w = shown.new_empty(len(shown), self.sees + self.moves, *shown.shape[2:])
        w[:, self.shown], w[:, self.moved] = shown, moved
        return w


def odd_or_even(size: int, turn: int) -> Halves:
    """Every other number is shown: in even turns those at even places, in odd turns the others."""
    even, odd = slice(0, None, 2), slice(1, None, 2)
    return Halves(size, even, odd) if turn % 2 == 0 else Halves(size, odd, even)


def first_or_second(size: int, turn: int) -> Halves:
    """One half of the channels is shown: in even turns the first one, in odd turns the second."""
    first, second = slice(0, size // 2), slice(size // 2, None)
    return Halves(size, first, second) if turn % 2 == 0 else Halves(size, second, first)


class Checkerboard(Split):
    """Of the pixels of an image, those on fields of one colour; the network sees zeros on the others.

    In even turns the pixel at the top left is shown. All of v is "moved", those that are shown by nothing: the network
    works at the full resolution, and its outputs on their fields are dropped.
    """

    mask: Tensor

    def __init__(self, shape: Shape, turn: int) -> None:
        super().__init__()
        self.sees = self.moves = shape[0]
        _, height, width = shape
        fields = torch.arange(height)[:, None] + torch.arange(width) + turn
        self.register_buffer("mask", (fields % 2 == 0).to(torch.get_default_dtype()), persistent=False)

    def forward(self, v: Tensor) -> tuple[Tensor, Tensor]:
        return v * self.mask, v

    def merge(self, shown: Tensor, moved: Tensor) -> Tensor:
        return moved

    def allowed(self, outputs: Tensor) -> Tensor:
        return outputs * (1 - self.mask)


class Coupling(Bijection):
    """w_b = v_b ⊙ exp(s) + t, with t and s by a network of v_a and the context."""

    def __init__(self, split: Split, network: nn.Module) -> None:
        super().__init__()
        self.split, self.network = split, network

    @property
    def passes(self) -> int:
        return 1

    @property
    def inverse_passes(self) -> int:
        return 1

    @abstractmethod
    def scale_and_shift(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """s and t (N, C_b, …) by the network's outputs."""

    def forward(self, v: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        shown, v_b = self.split(v)
        s, t = self.conditioner(shown, context)
        return self.split.merge(shown, v_b * torch.exp(s) + t), s.flatten(1).sum(1)

    def inverse(self, w: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        shown, w_b = self.split(w)
        s, t = self.conditioner(shown, context)
        return self.split.merge(shown, (w_b - t) * torch.exp(-s)), -s.flatten(1).sum(1)

    def conditioner(self, shown: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """s and t (N, C_b, …) for what is shown (N, C_a, …), in its own precision: one pass."""
        outputs = self.network(shown, context).to(shown.dtype)
        s, t = self.scale_and_shift(outputs)
        return self.split.allowed(s), self.split.allowed(t)


class AdditiveCoupling(Coupling):
    """s = 0: a change of volume 1."""

    def scale_and_shift(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        return torch.zeros_like(outputs), outputs


class TanhCoupling(Coupling):
    """s = g ⊙ tanh a, with a factor g for each of the channels that are moved: bounded, and by what is learnt."""

    def __init__(self, split: Split, network: nn.Module) -> None:
        super().__init__(split, network)
        self.factor = nn.Parameter(torch.ones(split.moves))

    def scale_and_shift(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        t, a = outputs.chunk(2, 1)
        return channelwise(self.factor, a) * torch.tanh(a), t


class SigmoidCoupling(Coupling):
    """s = log σ(a + 2): scales in (0, 1), near 0.9 at the start."""

    def scale_and_shift(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        t, a = outputs.chunk(2, 1)
        return F.logsigmoid(a + 2), t


class ExpCoupling(Coupling):
    """s = a, kept within ±log 1000 by a smooth clip."""

    def scale_and_shift(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        t, a = outputs.chunk(2, 1)
        return bounded(a), t


class ImageNetwork(nn.Module):
    """A network from images (N, C, H, W) to images of as many pixels: a first convolution, layers, a last convolution.

    The classes (N, K) of a conditional model shift the first convolution's features. The last one starts at zero.
    """

    def __init__(self, channels: int, outputs: int, width: int, classes: int, middle: Sequence[nn.Module]) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        self.context = nn.Linear(classes, width, bias=False) if classes else None
        self.middle = nn.Sequential(*middle)
        self.last = zeroed(nn.Conv2d(width, outputs, 3, padding=1))

    def forward(self, v: Tensor, context: Tensor | None) -> Tensor:
        h = _shifted(self.first(v), self.context, context)
        outputs: Tensor = self.last(F.relu(self.middle(h)))
        return outputs


class SingleConvolution(nn.Module):
    """A linear network of images (N, C, H, W) and classes (N, K), that starts at zero."""

    def __init__(self, channels: int, outputs: int, classes: int) -> None:
        super().__init__()
        self.convolution = zeroed(nn.Conv2d(channels, outputs, 3, padding=1))
        self.context = zeroed(nn.Linear(classes, outputs, bias=False)) if classes else None

    def forward(self, v: Tensor, context: Tensor | None) -> Tensor:
        return _shifted(self.convolution(v), self.context, context)


def _shifted(h: Tensor, layer: nn.Linear | None, context: Tensor | None) -> Tensor:
    """Features h (N, C, H, W), shifted by a layer of the context (N, K), if any."""
    if layer is None or context is None:
        return h
    shift: Tensor = layer(context.to(h.dtype))
    return h + shift[:, :, None, None]


class Residual(nn.Module):
    """h + conv(relu(conv(relu(h)))), the second convolution of a small start."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
        with torch.no_grad():  # or features grow with each block, for nothing normalises them
            self.conv2.weight.mul_(0.1)

    def forward(self, h: Tensor) -> Tensor:
        residual: Tensor = self.conv2(F.relu(self.conv1(F.relu(h))))
        return h + residual


def residual_network(channels: int, outputs: int, width: int, blocks: int, classes: int) -> ImageNetwork:
    """The residual network of Real NVP: 3×3 convolutions, here without normalisation, so that rows do not mix."""
    return ImageNetwork(channels, outputs, width, classes, [Residual(width) for _ in range(blocks)])


def plain_network(channels: int, outputs: int, width: int, classes: int) -> ImageNetwork:
    """The network of Glow: convolutions of 3×3, 1×1 and 3×3."""
    return ImageNetwork(channels, outputs, width, classes, [nn.ReLU(), nn.Conv2d(width, width, 1)])


def vector_network(inputs: int, outputs: int, hidden: Sequence[int], classes: int) -> MLP:
    """An MLP of vectors (N, inputs) and classes (N, K), whose last layer starts at zero."""
    network = MLP([inputs + classes, *hidden, outputs])
    zeroed(network.layers[-1])
    return network


def lone_number(event: Event) -> str | None:
    """Why couplings cannot model an event of a single number; None if it has more."""
    if event.dimensions > 1:
        return None
    return (
        "a coupling moves one half of the numbers by the other half, and this data has one number; a maf can model it"
    )
