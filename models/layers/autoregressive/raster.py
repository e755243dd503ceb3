"""Masked convolutions in raster order, for whole images and pixel by pixel: what PixelCNNs and PixelRNNs are made of.

The order is rows from the top, pixels from the left, and in a pixel its colour channels R → G → B. Features form as
many groups as the image has channels: group g of a pixel may see all channels of the pixels before, and channels up to
g of its own, by mask B; the first layer, which looks at the image itself, leaves out channel g by mask A.

van den Oord, Kalchbrenner & Kavukcuoglu, "Pixel Recurrent Neural Networks", 2016 (arXiv:1601.06759).
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any

import torch
from pydantic import AfterValidator, Field
from pydantic.dataclasses import dataclass as validated
from torch import Tensor, nn
from torch.nn import functional as F

from ...contract import STRICT, Event, FamilyConfig, Width
from ..inputs import number_input
from .chain import Autoregressive, Stepper
from .outputs import LevelsName, output_for


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError("must be odd")
    return value


KernelSide = Annotated[int, Field(ge=3), AfterValidator(_odd)]  # of a square kernel with a pixel at its centre


def raster_order(event: Event) -> list[int]:
    """The positions of an image's numbers in a flat (C, H, W), from first to last."""
    return torch.arange(event.dimensions, device="cpu").view(event.shape).permute(1, 2, 0).flatten().tolist()


def grouped(width: int, event: Event) -> int:
    """A width rounded up to a multiple of the image's channels, so that it can be cut into groups."""
    groups = event.shape[0]
    return -(-width // groups) * groups


def groups_of(channels: int, groups: int, parts: int = 1) -> Tensor:
    """The group (channels,) of each channel, where channels are `parts` times all groups one after the other."""
    return torch.arange(groups, device="cpu").repeat_interleave(channels // (groups * parts)).repeat(parts)


class MaskedConv2d(nn.Conv2d):
    """A convolution whose output at a pixel sees `above` rows over it, `side` pixels to its left, and itself by a mask.

    In the rows above it sees `side` pixels to either side. Only weights that can be seen are kept, as far as a
    rectangle allows: (out, in, above + 1, 2 · side + 1), or (out, in, 1, side + 1) without rows above. By mask B
    (`own`) an output sees its own group in its own pixel, by mask A only lower ones. `parts` is that of `groups_of`.
    """

    mask: Tensor

    def __init__(
        self, into: int, out: int, groups: int, *, above: int = 0, side: int = 0, own: bool = True, parts: int = 1
    ) -> None:
        width = 2 * side + 1 if above else side + 1
        super().__init__(into, out, (above + 1, width), padding=(above, side))
        self.above, self.side = above, side
        self.group_of_output = groups_of(out, groups, parts)
        sees, seen = self.group_of_output[:, None], groups_of(into, groups)[None, :]
        mask = torch.ones_like(self.weight, device="cpu")
        mask[:, :, -1, side] = (sees >= seen if own else sees > seen).to(mask.dtype)
        mask[:, :, -1, side + 1 :] = 0
        self.masked = not bool(mask.all())
        self.register_buffer("mask", mask.to(self.weight.device), persistent=False)

    def visible(self) -> Tensor:
        """The weight under its mask."""
        return self.weight * self.mask if self.masked else self.weight

    def forward(self, x: Tensor) -> Tensor:
        y = F.conv2d(x, self.visible(), self.bias, padding=(self.above, self.side))
        return y[:, :, : x.shape[2], : x.shape[3]]


class RowConv2d(nn.Conv2d):
    """A convolution for features that see only rows above, such as a vertical stack: no masks, and no blind spot.

    Its output in a row sees `above` rows over it, and with `own` that row too, `side` pixels to either side.
    """

    def __init__(self, into: int, out: int, *, above: int, side: int, own: bool) -> None:
        super().__init__(into, out, (above + own, 2 * side + 1), padding=(above, side))
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[:, :, : x.shape[2]]


class RasterHead(nn.Module):
    """From features to the outputs of each number: two layers of a pixel, each behind a ReLU."""

    def __init__(self, width: int, hidden: int, groups: int, outputs: int) -> None:
        super().__init__()
        self.groups = groups
        self.hidden = MaskedConv2d(width, hidden, groups)
        self.last = MaskedConv2d(hidden, groups * outputs, groups)

    def forward(self, h: Tensor) -> Tensor:
        """Outputs (N, D, P) of features (N, width, H, W)."""
        y = self.last(F.relu(self.hidden(F.relu(h))))
        return y.unflatten(1, (self.groups, -1)).movedim(2, -1).flatten(1, 3)


@validated(frozen=True, config=STRICT)
class RasterConfig(FamilyConfig):
    """What the configuration of every family has in common that goes through images pixel by pixel."""

    first_kernel: KernelSide = 7
    """Side of the first convolution, which looks at the image; odd."""

    head: Width = 128
    """Features of the last hidden layer, rounded up to a multiple of the image's channels."""

    output: LevelsName = "softmax"
    """p(x_i | x_<i): a probability for each level, or a mixture of logistics."""

    components: int = Field(default=10, ge=1)
    """Components of a mixture."""


class RasterFamily(Autoregressive):
    """A model of images of integers, pixel by pixel; a subclass gives features, and `raster_head` the outputs."""

    def __init__(self, config: Any, event: Event) -> None:
        super().__init__(config, event)
        self.output = output_for(event, config.output, config.components)
        self.order = raster_order(event)

    @classmethod
    def refusal(cls, event: Event) -> str | None:
        """It takes all images of integers, those of a palette too."""
        if event.kind == "image" and event.levels is not None:
            return None
        return f"{cls.__name__.lower()} models images of integers, not {event.in_words}"

    def raster_head(self, width: int) -> RasterHead:
        """A head for `width` features."""
        return RasterHead(width, grouped(self.config.head, self.event), self.event.shape[0], self.output.size)


class PixelConv:
    """A `MaskedConv2d` of n images, pixel by pixel and group by group.

    What the rows above contribute is computed for a whole row at once, when it begins. For a pixel the contribution of
    its left neighbours and of itself is left: a small product of a window of the row with a matrix. Weights are copied;
    `context` (n, out) is added to every output.
    """

    def __init__(self, conv: MaskedConv2d, n: int, width: int, context: Tensor | None = None) -> None:
        weight, groups = conv.visible().detach(), int(conv.group_of_output.max()) + 1
        self.into, self.side, self.above, self.groups = conv.in_channels, conv.side, conv.above, groups
        self.rows_above = weight[:, :, :-1]
        self.outputs_of = [(conv.group_of_output == group).nonzero()[:, 0].to(weight.device) for group in range(groups)]
        left = weight[:, :, -1, : conv.side + 1].transpose(1, 2).flatten(1)  # (out, taps · in)
        self.matrices = [left[rows].T.contiguous() for rows in self.outputs_of]
        assert conv.bias is not None
        self.bias = conv.bias.detach().expand(n, -1) if context is None else conv.bias + context
        self.base = self._by_group(self.bias.expand(width, -1, -1))
        self.past = weight.new_zeros(n, self.into, conv.above, width)
        self.row = weight.new_zeros(n, (conv.side + width) * self.into)  # of the inputs, left of which are zeros

    def next_row(self) -> None:
        """A row begins: make the contribution of those above it, of which the newest is what was put so far."""
        if not self.above:
            return
        self.past = torch.cat([self.past[:, :, 1:], self.inputs()], 2)
        above = F.conv2d(self.past, self.rows_above, padding=(0, self.side))[:, :, 0]
        self.base = self._by_group(above.permute(2, 0, 1) + self.bias)

    def inputs(self) -> Tensor:
        """All that was put into the row: (n, in, 1, W)."""
        return self.row.unflatten(1, (-1, self.into))[:, self.side :].transpose(1, 2)[:, :, None]

    def put(self, x: Tensor, column: int, group: int) -> None:
        """The inputs (n, in / groups) of a group at a pixel of the row."""
        size = self.into // self.groups
        start = (column + self.side) * self.into + group * size
        self.row[:, start : start + size] = x

    def outputs(self, column: int, group: int) -> Tensor:
        """The outputs (n, ·) of a group at a pixel of the row, part after part."""
        window = self.row[:, column * self.into : (column + self.side + 1) * self.into]
        return torch.addmm(self.base[group][column], window, self.matrices[group])

    def __call__(self, x: Tensor, column: int, group: int) -> Tensor:
        """`put`, then `outputs`."""
        self.put(x, column, group)
        return self.outputs(column, group)

    def add(self, rows: Tensor) -> None:
        """Let rows (W, n, out) be a further contribution to this row."""
        self.base = self._by_group(rows + self.bias)

    def _by_group(self, rows: Tensor) -> list[Tensor]:
        """Contributions (W, n, out) to a row, for each group its own (W, n, ·)."""
        return [rows] if self.groups == 1 else [rows[:, :, outputs] for outputs in self.outputs_of]


class PixelHead:
    """A `RasterHead` of n images, pixel by pixel."""

    def __init__(self, head: RasterHead, n: int, width: int) -> None:
        self.hidden, self.last = PixelConv(head.hidden, n, width), PixelConv(head.last, n, width)

    def __call__(self, h: Tensor, column: int, group: int) -> Tensor:
        """Outputs (n, P) of a channel, given the features (n, ·) of its group."""
        return self.last(F.relu(self.hidden(F.relu(h), column, group)), column, group)


class RowConv:
    """A `RowConv2d` of n images, row by row."""

    def __init__(self, conv: RowConv2d, n: int, width: int) -> None:
        self.conv = conv
        self.past = conv.weight.new_zeros(n, conv.in_channels, conv.kernel_size[0], width)

    def __call__(self, row: Tensor) -> Tensor:
        """The next output row (n, out, 1, W), given the newest input row (n, in, 1, W) that it sees."""
        self.past = torch.cat([self.past[:, :, 1:], row], 2)
        return F.conv2d(self.past, self.conv.weight, self.conv.bias, padding=(0, self.conv.side))


class RasterStepper(Stepper):
    """Goes through n images in raster order; a family says what happens at the begin of a row and at a number.

    `first` is the convolution that looks at the images themselves.
    """

    def __init__(self, event: Event, n: int, first: MaskedConv2d) -> None:
        self.event = event
        self.channels, _, self.width = event.shape
        self.first = PixelConv(first, n, self.width)
        self.computed, self.current = -1, torch.empty(0)
        self.step = self.number

    def compile(self) -> None:
        self.step = torch.compile(self.number, dynamic=True)

    @abstractmethod
    def begin_row(self) -> None:
        """Compute what is common to a whole row; everything above it is known."""

    @abstractmethod
    def number(self, column: int, group: int) -> Tensor:
        """Outputs (n, P) for a channel of a pixel of the row."""

    def outputs(self, place: int) -> Tensor:
        if self.computed != place:
            column, group = self._where(place)
            if column == 0 and group == 0:
                self.begin_row()
            self.computed, self.current = place, self.step(column, group)
        return self.current

    def feed(self, place: int, x: Tensor) -> None:
        self.outputs(place)  # of a number that was known, it fills the caches
        self.first.put(number_input(x, self.event), *self._where(place))

    def _where(self, place: int) -> tuple[int, int]:
        """The column and the channel of a place in the order."""
        return place // self.channels % self.width, place % self.channels
