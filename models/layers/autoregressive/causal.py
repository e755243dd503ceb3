"""Dilated causal convolutions: the layer of WaveNet, and a whole network of them as conditioner of a flow.

Layer l looks back in strides of its dilation d:

    y_t = Σ_k W_k h_{t-kd} + b + V context,   k = 0 … K-1
    z   = tanh(y_a) ⊙ σ(y_b),   y = [y_a, y_b]
    h'  = h + R z,   skip += S z

van den Oord et al., "WaveNet: A Generative Model for Raw Audio", 2016 (arXiv:1609.03499); as conditioner of inverse
autoregressive flows: van den Oord et al., "Parallel WaveNet", 2017 (arXiv:1711.10433).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

OCTAVES = 6  # of the waves that say where in a sequence one is


class GatedLayer(nn.Module):
    """A dilated causal convolution, its gates, and what they add to the two paths; the equations are above.

    The last layer has no residual path, which would lead nowhere.
    """

    def __init__(
        self, channels: int, gates: int, skips: int, kernel_size: int, dilation: int, context: int, last: bool
    ) -> None:
        super().__init__()
        self.skip_channels, self.last = skips, last
        self.dilation, self.reach = dilation, dilation * (kernel_size - 1)
        self.gates = nn.Conv1d(channels, 2 * gates, kernel_size, dilation=dilation)  # W, b
        self.paths = nn.Conv1d(gates, skips + (0 if last else channels), 1)  # S, R
        self.context = nn.Linear(context, 2 * gates, bias=False) if context else None  # V

    def forward(self, h: Tensor, skip: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """The next features h (N, channels, T) and sum of skips (N, skip_channels, T).

        The context is (N, C, 1) for all times alike, or (N, C, T).
        """
        y = self.gates(F.pad(h, (self.reach, 0)))  # for a dilated kernel faster than a product of matrices for each tap
        if self.context is not None and context is not None:
            y = y + F.conv1d(context, self.context.weight[:, :, None])
        a, b = y.chunk(2, 1)
        paths = self.paths(torch.tanh(a) * torch.sigmoid(b))
        skip = skip + paths[:, : self.skip_channels]
        return h if self.last else h + paths[:, self.skip_channels :], skip


class Place(nn.Module):
    """Features (N, width, T) of where in a sequence one is, and in a sequence of which context: local conditioning.

    A relu(B waves_t + C context + b),   waves_t = sines and cosines of ½, 1, 2, … periods over the sequence
    """

    waves: Tensor  # (2 · OCTAVES, T)

    def __init__(self, length: int, width: int, context: int = 0) -> None:
        super().__init__()
        phase = math.pi * (torch.arange(length) + 0.5) / length * 2 ** torch.arange(OCTAVES)[:, None]
        self.register_buffer("waves", torch.cat([torch.sin(phase), torch.cos(phase)]), persistent=False)
        self.of_waves, self.out = nn.Conv1d(2 * OCTAVES, width, 1), nn.Conv1d(width, width, 1)
        self.of_context = nn.Linear(context, width, bias=False) if context else None

    def forward(self, n: int, context: Tensor | None = None) -> Tensor:
        """The features of n sequences, given contexts (n, C)."""
        h = self.of_waves(self.waves[None])
        if self.of_context is not None and context is not None:
            h = h + self.of_context(context.to(h.dtype))[:, :, None]
        return self.out(F.relu(h)).expand(n, -1, -1)


class CausalNetwork(nn.Module):
    """Gated layers of dilations 1, 2, 4, … whose outputs for number t see the numbers before t only.

    They begin with a convolution over `first_kernel` numbers. Output t is a function of v_<t within the
    `receptive_field`, and of its place, which noise does not reveal. The last layer starts small, so that a flow starts
    close to the identity, yet with a gradient for every weight.
    """

    def __init__(
        self,
        length: int,
        channels: int,
        layers: int,
        kernel_size: int,
        outputs: int = 2,
        context: int = 0,
        first_kernel: int = 1,
    ) -> None:
        super().__init__()
        self.outputs = outputs
        self.place = Place(length, channels, context)
        self.front = nn.Conv1d(1, channels, first_kernel)
        self.layers = nn.ModuleList(
            GatedLayer(channels, channels, channels, kernel_size, 2**layer, channels, last=layer == layers - 1)
            for layer in range(layers)
        )
        self.hidden, self.last = nn.Conv1d(channels, channels, 1), nn.Conv1d(channels, outputs, 1)
        with torch.no_grad():
            self.last.weight.mul_(0.01)
            assert self.last.bias is not None
            self.last.bias.zero_()

    @property
    def receptive_field(self) -> int:
        """How many numbers before t the outputs for t depend on: first_kernel + (K - 1) · (2^layers - 1)."""
        return self.front.kernel_size[0] + sum(layer.reach for layer in self.layers if isinstance(layer, GatedLayer))

    def forward(self, v: Tensor, context: Tensor | None = None) -> Tensor:
        """The outputs (N, T, outputs) for v (N, T)."""
        h = self.front(F.pad(v[:, None, :-1], (self.front.kernel_size[0], 0)))
        place, skip = self.place(len(v), context), h.new_zeros(())
        for layer in self.layers:
            h, skip = layer(h, skip, place)
        out: Tensor = self.last(F.relu(self.hidden(F.relu(skip)))).transpose(1, 2)
        return out
