"""WaveNet: a sequence of integers, each predicted by dilated convolutions that see a long past in few layers.

    p(x) = Π_t p(x_t | x_<t)

The input is an embedding of the previous number, h_t = E[x_{t-1}] (zeros at the start), or a causal convolution of the
previous numbers themselves on the scale -1 … 1, h_t = Σ_k E_k c(x_{t-k}) + e, k = 1 … first_kernel. Layer l looks back
in strides of its dilation d, which doubles from layer to layer, 1, 2, 4, …, and begins anew with each stack:

    y_t = Σ_k W_k h_{t-kd} + b + V label,   k = 0 … K-1
    z   = tanh(y_a) ⊙ σ(y_b),   y = [y_a, y_b]
    h'  = h + R z,   skip += S z

and the outputs are a 1 × 1 network of the sum: skip → ReLU → A → ReLU → B. So output t sees the `receptive_field`
numbers before it, which grow with 2^layers where the cost grows with the layers. Labels, if any, shift all gates; with
`place` so does where in the sequence one is, through a small network of both: the local conditioning of the paper.

With scalar input and rounded real numbers for outputs it is a density of real sequences as well, and can teach: in the
units y = (x + ½) / K the conditional of y_t is the Gaussian or the mixture of logistics before it is rounded, so the
mass P(x_t) of a level is the integral of p(y_t | y_<t) over its bin. It is differentiable in all of y.

Shapes: x (N, 1, T) integers; features h (N, channels, T); gates z (N, gate_channels, T); outputs (N, T, P). `log_prob`
is one pass. `sample` takes T steps: each layer remembers the past that its kernel still looks at, in a ring buffer, so
that a step computes each layer once, and all steps together take the arithmetic of one pass.

When to use it: for sound and other sequences of integers, with an exact likelihood. A sample takes a step per number;
a student, an `iaf` with `network: causal`, takes one pass.

van den Oord et al., "WaveNet: A Generative Model for Raw Audio", 2016 (arXiv:1609.03499). Sampling by ring buffers:
Le Paine et al., "Fast Wavenet Generation Algorithm", 2016 (arXiv:1611.09482). Mixtures of logistics: van den Oord et
al., "Parallel WaveNet", 2017 (arXiv:1711.10433). Single Gaussians: Ping et al., "ClariNet", 2018 (arXiv:1807.07281).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass as validated
from torch import Tensor, nn
from torch.nn import functional as F

from .contract import (
    STRICT,
    Batch,
    Event,
    FamilyConfig,
    UnsuitableEvent,
    Width,
)
from .layers.autoregressive.causal import GatedLayer, Place
from .layers.autoregressive.chain import Autoregressive, Stepper
from .layers.autoregressive.conditionals import Conditionals, Gaussians, OutputConditionals, Teaching
from .layers.autoregressive.outputs import LevelsName, Rounded, RoundedGaussian, output_for
from .layers.labels import one_hot
from .layers.units import Dequantised


@validated(frozen=True, config=STRICT)
class WaveNetConfig(FamilyConfig):
    """Configuration of WaveNet."""

    channels: Width = 64
    """Features h of a time step: the width of the embedding and of the residual path."""

    gate_channels: Width = 64
    """Gated units z of a layer."""

    skip_channels: Width = 128
    """Width of the skip path, and of the hidden layer behind it."""

    layers: int = Field(default=10, ge=1, le=20)
    """Layers of a stack; the dilations are 1, 2, 4, …, 2^(layers-1)."""

    stacks: int = Field(default=2, ge=1)
    """How often the dilations start again at 1."""

    kernel_size: int = Field(default=2, ge=2)
    """Taps K of a convolution: the present one, and K - 1 in the past."""

    input: Literal["embedding", "scalar"] = "embedding"
    """What is seen of a number: a vector of its own for each level, or its value, which can then be any real number."""

    first_kernel: Width = 1
    """Numbers that scalar inputs are made of; a few milliseconds of a sound say much about the next number."""

    input_noise: float = Field(default=0.0, ge=0)
    """Width, in levels, of uniform noise on scalar inputs in training; 1 fills the gaps between levels."""

    place: bool = False
    """Local conditioning on the place in the sequence: for examples that begin alike, such as single words."""

    output: LevelsName = "softmax"
    """p(x_t | x_<t): a probability for each level, or what rounds a mixture of logistics, or a single Gaussian."""

    components: int = Field(default=10, ge=1)
    """Components of a mixture."""


class WaveNet(Autoregressive, Teaching):
    """Stacks of dilated causal convolutions and a distribution for each number."""

    Config = WaveNetConfig
    config: WaveNetConfig
    units: Dequantised

    def __init__(self, config: WaveNetConfig, event: Event) -> None:
        super().__init__(config, event)
        assert event.levels is not None  # see `refusal`
        if config.input == "scalar" and not event.ordered:
            raise UnsuitableEvent("input: scalar needs levels that are numbers; input: embedding takes names")
        if config.input == "embedding" and (config.input_noise or config.first_kernel > 1):
            raise UnsuitableEvent("input_noise and first_kernel need input: scalar; an embedding is of one level")
        self.units = Dequantised(event)
        self.levels = event.levels
        self.output = output_for(event, config.output, config.components)
        self.order = list(range(event.dimensions))
        self.embedding = _embedding(config, event.levels)  # E
        self.place = Place(event.dimensions, config.channels, self.classes) if config.place else None
        dilations = [2**layer for layer in range(config.layers)] * config.stacks
        last = len(dilations) - 1
        self.layers = nn.ModuleList(
            GatedLayer(
                config.channels,
                config.gate_channels,
                config.skip_channels,
                config.kernel_size,
                dilation,
                config.channels if config.place else self.classes,
                last=i == last,
            )
            for i, dilation in enumerate(dilations)
        )
        final = nn.Linear(config.skip_channels, self.output.size)
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(config.skip_channels, config.skip_channels), nn.ReLU(), final)
        with torch.no_grad():  # begin near the uniform distribution, but not in it: components must differ to part
            final.weight.mul_(0.1)
            final.bias.zero_()

    @classmethod
    def refusal(cls, event: Event) -> str | None:
        """It takes all sequences of integers; levels that are names too, for it embeds them."""
        if event.kind == "sequence" and event.levels is not None:
            return None
        return (
            f"wavenet models sequences of integers, such as audio, not {event.in_words};"
            " pixelcnn can model images, maf vectors"
        )

    @property
    def receptive_field(self) -> int:
        """How many numbers before x_t its distribution depends on: first_kernel + stacks · (K - 1) · (2^layers - 1)."""
        return self.config.first_kernel + sum(layer.reach for layer in self._layers())

    @property
    def teaches(self) -> bool:
        return self.config.input == "scalar" and isinstance(self.output, Rounded)

    @property
    def gaussian(self) -> bool:
        return isinstance(self.output, RoundedGaussian)

    needs_to_teach = "wavenet can teach with input: scalar and output: gaussian or logistic_mixture"

    def log_likelihood(self, batch: Batch) -> Tensor:
        if not (self.training and self.config.input_noise):
            return super().log_likelihood(batch)
        noise = batch.noise.uniform(*self.event.shape) - 0.5
        h = self.network(batch.x + self.config.input_noise * noise, batch.labels)
        return self.output.log_prob(h, batch.x.flatten(1)).sum(1)

    def conditionals(self, y: Tensor, labels: Tensor | None = None) -> Conditionals:
        """What p(y_t | y_<t) is in the units y = (x + ½) / K, for all t of y (N, T): one pass."""
        assert isinstance(self.output, Rounded)  # see `teaches`
        h = self.network(self.units.inverse(y), labels)
        if isinstance(self.output, RoundedGaussian):
            mean, log_std = self.output.parameters(h)
            return Gaussians((mean + 0.5) / self.levels, log_std - math.log(self.levels))
        return OutputConditionals(self.output, h, self.levels)

    def network(self, x: Tensor, labels: Tensor | None) -> Tensor:
        return self.head(self.skips(self.features(x[:, 0, :-1]), labels).transpose(1, 2))

    def features(self, x: Tensor) -> Tensor:
        """Features h (N, channels, T) of the numbers before each; x (N, T - 1) are all but the last."""
        if isinstance(self.embedding, nn.Embedding):
            return F.pad(self.embedding(x.long()).transpose(1, 2), (1, 0))
        h: Tensor = self.embedding(F.pad(self.values(x), (self.config.first_kernel, 0))[:, None])
        return h

    def values(self, x: Tensor) -> Tensor:
        """Numbers (…) in the data's units on the scale -1 … 1."""
        return (x.to(self.embedding.weight.dtype) + 0.5) * (2 / self.levels) - 1

    def skips(self, h: Tensor, labels: Tensor | None) -> Tensor:
        """The sum of the skip path (N, skip_channels, T) over embedded previous numbers h (N, channels, T)."""
        context, skip = self.context(len(h), labels), h.new_zeros(())
        for layer in self.layers:
            h, skip = layer(h, skip, context)
        return skip

    def context(self, n: int, labels: Tensor | None) -> Tensor | None:
        """What shifts the gates: labels (n, classes, 1), or features (n, channels, T) of labels and places."""
        classes = one_hot(labels, self.classes)
        if self.place is not None:
            return self.place(n, classes)
        return None if classes is None else classes[:, :, None]

    def stepper(self, n: int, labels: Tensor | None) -> Stepper:
        return _Stepper(self, n, labels)

    def _layers(self) -> list[GatedLayer]:
        return [layer for layer in self.layers if isinstance(layer, GatedLayer)]


def _embedding(config: WaveNetConfig, levels: int) -> nn.Embedding | nn.Conv1d:
    if config.input == "embedding":
        return nn.Embedding(levels, config.channels)
    convolution = nn.Conv1d(1, config.channels, config.first_kernel)
    nn.init.uniform_(convolution.weight, -1, 1)  # sounds are mostly quiet
    return convolution


class _Stepper(Stepper):
    """One step of all L layers at a time, in few operations, for these are small and it is their number that costs.

    A row of `paths` is the two paths [skip, h] before a layer, and the last row what leaves the last layer. `rings`
    are the ring buffers of all layers one after the other: the layer whose `reach` is r has r rows, and keeps its h of
    time t in the (t mod r)-th of them. What the past adds to the gates of all layers is one product for each tap, made
    before the first layer; a layer then adds the present.
    """

    def __init__(self, family: WaveNet, n: int, labels: Tensor | None) -> None:
        self.family = family
        layers, config = family._layers(), family.config
        S, C, L = config.skip_channels, config.channels, len(layers)
        weights = torch.stack([layer.gates.weight.detach() for layer in layers])  # (L, 2 · gates, C, K)
        self.taps = [tap.transpose(1, 2).contiguous() for tap in weights.unbind(-1)]  # from the oldest to the present
        self.shift = self._shift(layers, n, family.context(n, labels))

        new = weights.new_zeros
        self.gates = new(L, n, 2 * config.gate_channels)
        self.gated = torch.ones(n, config.gate_channels + 1, dtype=weights.dtype, device=weights.device)
        self.z = self.gated[:, :-1]  # the one behind z makes biases a row of the matrices S and R
        self.paths = new(L + 1, n, S + C)
        self.h, self.skip = self.paths[:, :, S:], self.paths[-1, :, :S]

        reach = torch.tensor([layer.reach for layer in layers], device=weights.device)
        dilation = torch.tensor([layer.dilation for layer in layers], device=weights.device)
        self.reach, self.first_row = reach, reach.cumsum(0) - reach
        self.rings = new(int(reach.sum()), n, C)
        self.ago = torch.arange(config.kernel_size - 1, 0, -1, device=weights.device)[:, None] * dilation  # (K - 1, L)

        self.steps = [self._views(i, layer) for i, layer in enumerate(layers)]
        self.step = self._advance
        self.past = new(n, config.first_kernel)  # values of the newest numbers, if the input is made of values
        if isinstance(family.embedding, nn.Conv1d):
            self.h[0] = family.features(x=self.past[:, :0])[:, :, 0]
        self._advance(0)

    def compile(self) -> None:
        self.step = torch.compile(self._advance, dynamic=True)

    def _shift(self, layers: list[GatedLayer], n: int, context: Tensor | None) -> Callable[[int], Tensor]:
        """What the gates of all layers (L, n, 2 · gates) are shifted by at time t, whatever the past is."""
        biases = torch.stack([layer.gates.bias for layer in layers if layer.gates.bias is not None]).detach()
        bias = biases[:, None].expand(-1, n, -1)
        if context is None:
            return lambda t: bias
        V = torch.stack([layer.context.weight.T for layer in layers if layer.context is not None]).detach()
        places = context.detach().permute(2, 0, 1).contiguous()  # (T or 1, n, C)
        if len(places) > 1:
            return lambda t: torch.baddbmm(bias, places[t].expand(len(V), -1, -1), V)
        shift = torch.baddbmm(bias, places.expand(len(V), -1, -1), V)
        return lambda t: shift

    def _views(self, i: int, layer: GatedLayer) -> tuple[Tensor, ...]:
        """What layer i works on. All views are made once."""
        assert layer.paths.bias is not None
        matrix = torch.cat([layer.paths.weight[:, :, 0].T, layer.paths.bias[None]]).detach()
        width = matrix.shape[1]  # the last layer has the skip path only
        a, b = self.gates[i].chunk(2, 1)
        before, after = self.paths[i, :, :width], self.paths[i + 1, :, :width]
        return self.h[i], self.taps[-1][i], self.gates[i], a, b, matrix, before, after

    def outputs(self, place: int) -> Tensor:
        return self.family.head(self.skip)

    def feed(self, place: int, x: Tensor) -> None:
        if place + 1 < self.family.event.dimensions:
            self.h[0] = self._embed(x)
            self.step(place + 1)

    def _embed(self, x: Tensor) -> Tensor:
        """The features h (n, channels) that come in when the numbers x (n,) are known."""
        embedding = self.family.embedding
        if isinstance(embedding, nn.Embedding):
            return embedding(x.long())
        self.past = torch.cat([self.past[:, 1:], self.family.values(x)[:, None]], 1)
        return F.linear(self.past, embedding.weight[:, 0], embedding.bias)

    def _advance(self, t: int) -> None:
        """Take all layers from t - 1 to t; the embedding is in `h[0]`."""
        rows = self.first_row + (t - self.ago) % self.reach
        self.gates.copy_(self.shift(t))
        for row, weight in zip(rows, self.taps[:-1], strict=True):
            self.gates.baddbmm_(self.rings[row], weight)
        for h, weight, gates, a, b, matrix, before, after in self.steps:
            gates.addmm_(h, weight)
            torch.mul(torch.tanh(a), torch.sigmoid(b), out=self.z)
            torch.addmm(before, self.gated, matrix, out=after)
        self.rings[rows[0]] = self.h[:-1]  # over the oldest, which no later step looks at
