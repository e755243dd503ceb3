"""The two networks of an adversarial game, in three architectures: a generator z → G(z), and a critic x → d(x).

    mlp        linear layers, for examples of any shape; with batch normalisation and shortcuts for rows of a table
    dcgan      a strided convolution per halving of the image, transposed ones in the generator, batch normalisation
    residual   pre-activation blocks that resize by nearest neighbours and by means, a global sum in the critic

Shapes: z (N, L), with the one-hot label behind it where the model is conditional; G(z) and x (N, *event), integers on
the scale -1 … 1, vectors standardised; d (N,). The critic of a conditional model projects its features on the class.
Rows of a table are vectors of the numbers of `gan_tables.py`, and what they are told of stands beside the label.

Radford, Metz & Chintala, "Unsupervised Representation Learning with DCGAN", 2015 (arXiv:1511.06434). The residual
networks are those of Gulrajani et al., 2017 (arXiv:1704.00028), and Miyato et al., "Spectral Normalization for
Generative Adversarial Networks", 2018 (arXiv:1802.05957), at a width of choice; the projection: Miyato & Koyama, 2018
(arXiv:1802.05637). The generator of rows is that of Xu et al., "Modeling Tabular Data using Conditional GAN", 2019
(arXiv:1907.00503).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from .contract import Event
from .layers.images import halvings
from .layers.workers import GlobalBatchNorm

Architecture = Literal["mlp", "dcgan", "residual"]
MAPS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)


def generator(
    architecture: Architecture, event: Event, inputs: int, width: int, hidden: Sequence[int]
) -> nn.Sequential:
    """A network z (N, inputs) → G(z) (N, *event)."""
    match architecture:
        case "mlp":
            layers = _mlp_generator(event, inputs, hidden)
        case "dcgan":
            layers = _dcgan_generator(event, inputs, width)
        case "residual":
            layers = _residual_generator(event, inputs, width)
    # Integers have ends, which tanh keeps to; standardised vectors have none.
    return nn.Sequential(*layers, *([] if event.levels is None else [nn.Tanh()]))


def rows_generator(numbers: int, inputs: int, hidden: Sequence[int]) -> nn.Sequential:
    """A network z (N, inputs) → G(z) (N, numbers) for the rows of a table, as CTGAN has it (Xu et al., 2019).

    Their numbers depend on single inputs, such as a condition, as much as on mixtures of them: each hidden layer is
    normalised over the batch, and stands beside its own input in that of the next.
    """
    layers: list[nn.Module] = []
    for width in hidden:
        layers.append(Beside(inputs, width))
        inputs += width
    return nn.Sequential(*layers, nn.Linear(inputs, numbers))


class Critic(nn.Module):
    """x → d(x): features by a body, a linear map of them, and their projection on the class.

    `rowwise` forbids batch normalisation, with which d(x) would depend on the other rows of the batch; `biased` says
    whether a constant added to d means anything.
    """

    def __init__(
        self,
        architecture: Architecture,
        event: Event,
        classes: int,
        width: int,
        hidden: Sequence[int],
        *,
        rowwise: bool,
        biased: bool,
    ) -> None:
        super().__init__()
        match architecture:
            case "mlp":
                body, features = _mlp_critic(event, hidden)
            case "dcgan":
                body, features = _dcgan_critic(event, width, rowwise)
            case "residual":
                body, features = _residual_critic(event, width)
        self.body = nn.Sequential(*body)
        self.head = nn.Linear(features, 1, bias=biased)
        self.class_head = nn.Linear(classes, features, bias=False) if classes else None
        self.rowwise = not any(isinstance(layer, GlobalBatchNorm) for layer in self.modules())
        if not self.rowwise:
            _small_weights(self.head, self.class_head)

    def forward(self, x: Tensor, context: Tensor | None) -> Tensor:
        """The scores (N,) of x (N, *event) with one-hot labels (N, C), if the model is conditional."""
        h = self.body(x)
        d: Tensor = self.head(h)[:, 0]
        if self.class_head is None or context is None:
            return d
        return d + (h * self.class_head(context.to(h.dtype))).sum(1)


class SpectralNorm(nn.Module):
    """W / σ(W), σ the largest singular value of a weight W (outputs, …) as a matrix.

    In training each use of the weight adds a step of power iteration, u ← W v / ‖W v‖ with v = Wᵀ u / ‖Wᵀ u‖, and
    σ = uᵀ W v. In evaluation σ is exact: the average over the training that is evaluated has a u which is no singular
    vector of its weights, and by which σ would be far too small. (`torch.nn.utils` would take it.)
    """

    WARM_UP = 15  # steps before the first use
    u: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("u", F.normalize(torch.randn(len(weight)), dim=0))
        for _ in range(self.WARM_UP):
            self._iterate(weight.detach().flatten(1))

    @torch.no_grad()
    def _iterate(self, w: Tensor) -> tuple[Tensor, Tensor]:
        """One step; the new u and v."""
        v = F.normalize(w.T @ self.u, dim=0)
        u = F.normalize(w @ v, dim=0)
        self.u.copy_(u)
        return u, v

    def forward(self, weight: Tensor) -> Tensor:
        with torch.autocast(weight.device.type, enabled=False):  # bfloat16 would know σ to half a percent
            w = weight.flatten(1)
            if not self.training:
                return weight / torch.linalg.matrix_norm(w, 2)
            u, v = self._iterate(w)
            return weight / (u @ w @ v)


def normalise_spectrally(network: nn.Module) -> None:
    """Divide the weights of all maps by their largest singular value."""
    for layer in list(network.modules()):
        if isinstance(layer, MAPS):
            # On the meta device there is nothing to divide by, and so nothing that torch could check.
            norm, unchecked = SpectralNorm(layer.weight), layer.weight.is_meta
            parametrize.register_parametrization(layer, "weight", norm, unsafe=unchecked)


# Linear layers


def _mlp_generator(event: Event, inputs: int, hidden: Sequence[int]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for before, after in pairwise((inputs, *hidden)):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return [*layers, nn.Linear(hidden[-1], event.dimensions), nn.Unflatten(1, event.shape)]


class Beside(nn.Module):
    """h (N, I) → relu(norm(linear(h))) (N, width) with h behind it."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.layer = nn.Sequential(nn.Linear(inputs, width, bias=False), GlobalBatchNorm(width), nn.ReLU())

    def forward(self, h: Tensor) -> Tensor:
        """(N, width + I) of features (N, I)."""
        return torch.cat([self.layer(h), h], 1)


def _mlp_critic(event: Event, hidden: Sequence[int]) -> tuple[list[nn.Module], int]:
    layers: list[nn.Module] = [nn.Flatten()]
    for before, after in pairwise((event.dimensions, *hidden)):
        layers += [nn.Linear(before, after), nn.LeakyReLU(0.2)]
    return layers, hidden[-1]


# DCGAN: `width` channels at half the resolution; each further halving doubles them


def _dcgan_generator(event: Event, inputs: int, width: int) -> list[nn.Module]:
    stages = halvings(*event.shape[1:])
    widths = [*(width << stage for stage in reversed(range(stages))), event.shape[0]]
    layers = _lowest_resolution(event, inputs, widths[0])
    for before, after in pairwise(widths):
        layers += [GlobalBatchNorm(before), nn.ReLU(), nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False)]
    _small_weights(*layers)
    return layers


def _dcgan_critic(event: Event, width: int, rowwise: bool) -> tuple[list[nn.Module], int]:
    stages = halvings(*event.shape[1:])
    layers: list[nn.Module] = [nn.Conv2d(event.shape[0], width, 4, 2, 1), nn.LeakyReLU(0.2)]
    for stage in range(1, stages):
        before, after = width << (stage - 1), width << stage
        norm = [] if rowwise else [GlobalBatchNorm(after)]
        layers += [nn.Conv2d(before, after, 4, 2, 1, bias=rowwise), *norm, nn.LeakyReLU(0.2)]
    if not rowwise:
        _small_weights(*layers)
    features = (width << (stages - 1)) * math.prod(side >> stages for side in event.shape[1:])
    return [*layers, nn.Flatten()], features


def _small_weights(*layers: nn.Module | None) -> None:
    """Weights of maps from N(0, 0.02²), as DCGAN has them: batch normalisation makes up for their size."""
    for layer in layers:
        if isinstance(layer, MAPS):
            nn.init.normal_(layer.weight, std=0.02)


# Residual networks: `width` channels at every resolution


class UpBlock(nn.Module):
    """h → upsampled h + conv(relu(norm(conv(upsampled relu(norm(h)))))): twice the sides."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.resize = nn.Upsample(scale_factor=2)
        self.first = nn.Sequential(GlobalBatchNorm(width), nn.ReLU())
        self.second = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            GlobalBatchNorm(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),  # the next normalisation would take a bias away
        )

    def forward(self, h: Tensor) -> Tensor:
        """Features (N, width, 2H, 2W) of features (N, width, H, W)."""
        y: Tensor = self.second(self.resize(self.first(h)))
        return self.resize(h) + y


class DownBlock(nn.Module):
    """h → pooled (h + conv(relu(conv(relu(h))))): half the sides, or the same ones.

    The first block of a critic sees the image, whose negative numbers a ReLU would throw away, and whose channels its
    shortcut brings to `width`.
    """

    def __init__(self, channels: int, width: int, *, first: bool = False, halve: bool = False) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            *([] if first else [nn.ReLU()]),
            nn.Conv2d(channels, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )
        self.shortcut = nn.Conv2d(channels, width, 1) if first else nn.Identity()
        self.resize = nn.AvgPool2d(2) if halve else nn.Identity()

    def forward(self, h: Tensor) -> Tensor:
        """Features (N, width, …) of features (N, channels, H, W)."""
        y: Tensor = self.resize(self.shortcut(h) + self.residual(h))
        return y


class SumPool(nn.Module):
    """ReLU, then the sum over all pixels."""

    def forward(self, h: Tensor) -> Tensor:
        """(N, width) of features (N, width, H, W)."""
        return F.relu(h).sum((2, 3))


def _residual_generator(event: Event, inputs: int, width: int) -> list[nn.Module]:
    blocks = [UpBlock(width) for _ in range(halvings(*event.shape[1:]))]
    return [
        *_lowest_resolution(event, inputs, width),
        *blocks,
        GlobalBatchNorm(width),
        nn.ReLU(),
        nn.Conv2d(width, event.shape[0], 3, padding=1),
    ]


def _residual_critic(event: Event, width: int) -> tuple[list[nn.Module], int]:
    """A block per halving, and one at the lowest resolution."""
    blocks = [
        DownBlock(width if stage else event.shape[0], width, first=not stage, halve=True)
        for stage in range(halvings(*event.shape[1:]))
    ]
    return [*blocks, DownBlock(width, width), SumPool()], width


def _lowest_resolution(event: Event, inputs: int, width: int) -> list[nn.Module]:
    """z → features (N, width, h, w) of the size that doublings bring to the event's."""
    sides = [side >> halvings(*event.shape[1:]) for side in event.shape[1:]]
    return [nn.Linear(inputs, width * math.prod(sides), bias=False), nn.Unflatten(1, (width, *sides))]
