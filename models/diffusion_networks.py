"""Networks that look at a noisy example and its timestep: a U-Net for images and sequences, an MLP for vectors.

Both map x_t (N, *event), times (N,) in 0 … 1 and classes (N, C), one-hot or zeros for "any", to an output of the shape
of x_t. The time is shown as sines and cosines of many frequencies; with the class it makes an embedding e (N, E), which
scales and shifts the features of every block. Last layers start at zero, so that a new network says 0.

U-Net: Ronneberger, Fischer & Brox, 2015 (arXiv:1505.04597), with residual blocks, group normalisation and attention as
in Ho, Jain & Abbeel, 2020 (arXiv:2006.11239). A sequence is an image of one axis.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .dropout import Dropout
from .layers.images import halvings
from .layers.starts import zeroed

Convolution = type[nn.Conv1d] | type[nn.Conv2d]
FREQUENCIES = 32
GROUPS = 8  # of group normalisation, where the width allows


class Embedding(nn.Module):
    """e (N, E) of times (N,) and classes (N, C)."""

    def __init__(self, size: int, classes: int) -> None:
        super().__init__()
        self.time = nn.Sequential(nn.Linear(2 * FREQUENCIES, size), nn.SiLU(), nn.Linear(size, size))
        self.classes = nn.Linear(classes, size, bias=False) if classes else None

    def forward(self, time: Tensor, context: Tensor | None, like: Tensor) -> Tensor:
        """The embedding, after its last SiLU, in the precision of `like`."""
        rates = torch.exp(-math.log(1e4) * torch.arange(FREQUENCIES, device=time.device) / FREQUENCIES)
        angles = 1000 * time[:, None] * rates
        e = self.time(torch.cat([angles.sin(), angles.cos()], 1).to(like))
        if self.classes is not None and context is not None:
            e = e + self.classes(context.to(like))
        return F.silu(e)


class Block(nn.Module):
    """h + conv(conv(h)), with a group normalisation and a SiLU before each convolution, and then attention, if any.

    The embedding scales and shifts the features after the second normalisation (FiLM: Perez et al., 2018,
    arXiv:1709.07871; in U-Nets: Dhariwal & Nichol, 2021, arXiv:2105.05233).
    """

    def __init__(
        self, conv: Convolution, into: int, out: int, embedding: int, dropout: float, attention: bool = False
    ) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(math.gcd(GROUPS, into), into), nn.GroupNorm(math.gcd(GROUPS, out), out)
        self.conv1, self.conv2 = conv(into, out, 3, padding=1), zeroed(conv(out, out, 3, padding=1))
        self.scale_shift = nn.Linear(embedding, 2 * out)
        self.dropout = Dropout(dropout)
        self.skip = nn.Identity() if into == out else conv(into, out, 1)
        self.attention = Attention(out) if attention else nn.Identity()

    def forward(self, h: Tensor, e: Tensor) -> Tensor:
        y = self.conv1(F.silu(self.norm1(h)))
        scale, shift = (each.view(*y.shape[:2], *[1] * (y.dim() - 2)) for each in self.scale_shift(e).chunk(2, 1))
        residual = self.conv2(self.dropout(F.silu(self.norm2(y) * (1 + scale) + shift)))
        attended: Tensor = self.attention(self.skip(h) + residual)
        return attended


class Attention(nn.Module):
    """h + attention of each place to all places, with one head."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(math.gcd(GROUPS, width), width)
        self.query_key_value, self.out = nn.Linear(width, 3 * width), zeroed(nn.Linear(width, width))

    def forward(self, h: Tensor) -> Tensor:
        y = self.norm(h).flatten(2).transpose(1, 2)  # (N, places, width)
        y = self.out(F.scaled_dot_product_attention(*self.query_key_value(y).chunk(3, 2)))
        return h + y.transpose(1, 2).reshape(h.shape)


class UNet(nn.Module):
    """Blocks on the way down to a lower resolution, and up again; what was on the way down is seen on the way up.

    The full resolution has `width` features, lower ones twice as many. Sides are halved at most `levels` times, as far
    as they stay whole. There is attention in the middle, and after the blocks of `attention_levels` resolutions, from
    the lowest on.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        width: int,
        levels: int,
        blocks: int,
        attention: bool,
        classes: int,
        attention_levels: int = 0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        channels, *sides = shape
        conv = nn.Conv2d if len(sides) == 2 else nn.Conv1d
        widths = [width] + [2 * width] * min(levels, halvings(sides[0], sides[-1]))
        size = 4 * width
        self.embedding = Embedding(size, classes)
        self.first = conv(channels, width, 3, padding=1)
        self.down, self.up, skips = nn.ModuleList(), nn.ModuleList(), [width]
        attends = [len(widths) - level <= attention_levels for level in range(len(widths))]
        for level, (before, after) in enumerate(pairwise([width, *widths])):
            if level:
                self.down.append(conv(before, before, 3, stride=2, padding=1))
                skips.append(before)
            for index in range(blocks):
                into = after if index else before
                self.down.append(Block(conv, into, after, size, dropout, attends[level]))
                skips.append(after)
        self.middle = nn.ModuleList([Block(conv, widths[-1], widths[-1], size, dropout)])
        if attention:
            self.middle.append(Attention(widths[-1]))
        features = widths[-1]
        for level in reversed(range(len(widths))):
            for _ in range(blocks + 1):
                self.up.append(Block(conv, features + skips.pop(), widths[level], size, dropout, attends[level]))
                features = widths[level]
            if level:
                self.up.append(conv(features, features, 3, padding=1))
        self.norm, self.last = nn.GroupNorm(math.gcd(GROUPS, width), width), zeroed(conv(width, channels, 3, padding=1))

    def forward(self, x: Tensor, time: Tensor, context: Tensor | None) -> Tensor:
        """An output of the shape of x (N, C, *sides)."""
        e = self.embedding(time, context, x)
        h = self.first(x)
        skips = [h]
        for layer in self.down:
            h = layer(h, e) if isinstance(layer, Block) else layer(h)
            skips.append(h)
        for layer in self.middle:
            h = layer(h, e) if isinstance(layer, Block) else layer(h)
        for layer in self.up:
            if isinstance(layer, Block):
                h = layer(torch.cat([h, skips.pop()], 1), e)
            else:
                h = layer(F.interpolate(h, scale_factor=2.0, mode="nearest"))
        output: Tensor = self.last(F.silu(self.norm(h)))
        return output


class TimedMLP(nn.Module):
    """Residual layers h + silu((W h) ⊙ (1 + a) + b), a and b made of e, where the widths allow it."""

    def __init__(self, dimensions: int, hidden: tuple[int, ...], classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        self.embedding = Embedding(hidden[0], classes)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise([dimensions, *hidden]))
        self.scale_shifts = nn.ModuleList(nn.Linear(hidden[0], 2 * b, bias=False) for b in hidden)
        self.last = zeroed(nn.Linear(hidden[-1], dimensions))

    def forward(self, x: Tensor, time: Tensor, context: Tensor | None) -> Tensor:
        """An output of the shape of x (N, D)."""
        h, e = x, self.embedding(time, context, x)
        for index, (layer, scale_shift) in enumerate(zip(self.layers, self.scale_shifts, strict=True)):
            scale, shift = scale_shift(e).chunk(2, 1)
            y = self.dropout(F.silu(layer(h) * (1 + scale) + shift))
            h = h + y if index and h.shape == y.shape else y
        output: Tensor = self.last(h)
        return output
