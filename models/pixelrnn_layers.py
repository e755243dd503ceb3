"""The recurrences of PixelRNN over whole images: Row LSTM and Diagonal BiLSTM; for the equations see `pixelrnn.py`.

van den Oord, Kalchbrenner & Kavukcuoglu, "Pixel Recurrent Neural Networks", 2016 (arXiv:1601.06759).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .contract import Event
from .layers.autoregressive.raster import MaskedConv2d


def input_to_state(into: int, hidden: int, groups: int, side: int = 0) -> MaskedConv2d:
    """K^is, from features to the four gates. It carries their bias, which is 1 for f: at first, c is kept."""
    conv = MaskedConv2d(into, 4 * hidden, groups, side=side, parts=4)
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
    nn.init.ones_(conv.bias[hidden : 2 * hidden])
    return conv


def cell(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """The next c and h (…, h) of gates [o, f, i, g] (…, 4h) before their nonlinearities, and the c before."""
    hidden = c.shape[-1]
    ofi, g = gates.split([3 * hidden, hidden], -1)
    o, f, i = torch.sigmoid(ofi).chunk(3, -1)
    c = torch.addcmul(f * c, i, torch.tanh(g))
    return c, o * torch.tanh(c)


class RowLSTM(nn.Module):
    """An LSTM from row to row. Its units form groups as features do, by which K^is is masked.

    K^ss needs no masks, since the row above is known with all its channels.
    """

    def __init__(self, into: int, hidden: int, event: Event, classes: int, kernel: int) -> None:
        super().__init__()
        self.hidden, self.kernel = hidden, kernel
        self.input = input_to_state(into, hidden, event.shape[0], side=kernel // 2)
        self.state = nn.Linear(kernel * hidden, 4 * hidden, bias=False)  # of a window, pixel after pixel
        self.context = nn.Linear(classes, 4 * hidden, bias=False) if classes else None

    @staticmethod
    def steps(height: int, width: int) -> int:
        """Rows."""
        return height

    def windows(self, h: Tensor) -> Tensor:
        """The k neighbours (W, N, k · h) of the pixels of a row (W, N, h), side by side; zeros beyond its ends."""
        side, width = self.kernel // 2, len(h)
        padded = F.pad(h, (0, 0, 0, 0, side, side))
        return torch.cat([padded[tap : tap + width] for tap in range(self.kernel)], -1)

    def forward(self, x: Tensor, context: Tensor | None) -> Tensor:
        """h (N, h, H, W) of features (N, 2h, H, W)."""
        gates = self.input(x)
        if self.context is not None:
            gates = gates + self.context(context)[:, :, None, None]
        gates = gates.permute(2, 3, 0, 1).contiguous()  # (H, W, N, 4h)
        h = c = gates.new_zeros(*gates.shape[1:3], self.hidden)
        rows, state = [], self.state.weight.T
        for row in gates.unbind():
            all_gates = torch.addmm(row.flatten(0, 1), self.windows(h).flatten(0, 1), state)
            c, h = cell(all_gates.view_as(row), c)
            rows.append(h)
        return torch.stack(rows).permute(2, 3, 0, 1)


class Skew(nn.Module):
    """Pixels in the order of their diagonals, for an image, and for one that is mirrored first.

    In the paper each row is moved one to the right of the row above, which makes diagonals columns. To sort pixels by
    diagonals does the same, and needs no padding: diagonal d has the pixels (r, d - r) that there are, from above.
    """

    order: Tensor
    inverse: Tensor

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.height, self.width = height, width
        pixels = torch.arange(height * width).view(height, width)
        row, column = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        order = (row + column).flatten().argsort(stable=True)
        both = torch.cat([order, pixels.flip(1).flatten()[order] + len(order)])
        self.register_buffer("order", both, persistent=False)
        self.register_buffer("inverse", both.argsort(), persistent=False)

    @property
    def rows(self) -> list[range]:
        """The rows of each diagonal's pixels."""
        diagonals = range(self.height + self.width - 1)
        return [range(max(0, d - self.width + 1), min(d + 1, self.height)) for d in diagonals]

    def forward(self, x: Tensor) -> Tensor:
        """Skewed images (2, H · W, …) of two images (2, H, W, …)."""
        return x.flatten(0, 2).index_select(0, self.order).unflatten(0, (2, -1))

    def undo(self, y: Tensor) -> Tensor:
        """The images (2, H, W, …), neither of them mirrored, of skewed ones (2, H · W, …)."""
        return y.flatten(0, 1).index_select(0, self.inverse).unflatten(0, (2, self.height, self.width))


class DiagonalLSTM(nn.Module):
    """The weights of one direction. K^ss needs no masks, since the neighbours are known with all their channels."""

    def __init__(self, into: int, hidden: int, groups: int, classes: int) -> None:
        super().__init__()
        self.input = input_to_state(into, hidden, groups)
        self.state = nn.Linear(2 * hidden, 4 * hidden, bias=False)  # of the neighbour at the side, and the one above
        self.context = nn.Linear(classes, 4 * hidden, bias=False) if classes else None

    def matrix(self) -> Tensor:
        """K^is as a matrix (2h, 4h)."""
        return self.input.visible()[:, :, 0, 0].T

    def bias(self, context: Tensor | None) -> Tensor:
        """The bias of the gates (1, 4h), or (N, 4h) if there are classes (N, classes)."""
        assert self.input.bias is not None
        return self.input.bias[None] if self.context is None else self.input.bias + self.context(context)


class DiagonalBiLSTM(nn.Module):
    """Two LSTMs from diagonal to diagonal, one from the upper left, and one from the upper right."""

    def __init__(self, into: int, hidden: int, event: Event, classes: int) -> None:
        super().__init__()
        self.hidden, (groups, height, width) = hidden, event.shape
        self.from_left = DiagonalLSTM(into, hidden, groups, classes)
        self.from_right = DiagonalLSTM(into, hidden, groups, classes)
        self.skew = Skew(height, width)

    @staticmethod
    def steps(height: int, width: int) -> int:
        """Diagonals."""
        return height + width - 1

    def forward(self, x: Tensor, own: Tensor, context: Tensor | None) -> Tensor:
        """h (N, h, H, W) of features (N, 2h, H, W): that from the left, plus that from the right of the row above.

        The latter also gets the pixels' `own` features (N, 2h, H, W): its row is complete before they are used.
        """
        both = (self.from_left, self.from_right)
        pixels = self.skew(torch.stack([x, x + own]).permute(0, 3, 4, 1, 2))  # (2, H · W, N, 2h)
        gates = torch.bmm(pixels.flatten(1, 2), torch.stack([each.matrix() for each in both]))
        biases = torch.stack([each.bias(context) for each in both])[:, None]
        h = self._recur(gates.unflatten(1, pixels.shape[1:3]) + biases)
        from_left, from_right = self.skew.undo(h)
        above = torch.cat([torch.zeros_like(from_right[:1]), from_right[:-1]])
        return (from_left + above).permute(2, 3, 0, 1)

    def _recur(self, gates: Tensor) -> Tensor:
        """h (2, H · W, N, h) of what K^is and the bias give to the gates (2, H · W, N, 4h), diagonal by diagonal.

        The diagonal before, with a zero at either end, has the left neighbours and the upper ones, one place apart.
        """
        states = torch.stack([each.state.weight.T for each in (self.from_left, self.from_right)])
        rows = self.skew.rows
        h = c = gates.new_zeros(2, 0, gates.shape[2], self.hidden)
        first, diagonals = 0, []
        for diagonal, own in zip(gates.split([len(each) for each in rows], 1), rows, strict=True):
            start, length = own.start - first, len(own)
            h, c = (F.pad(each, (0, 0, 0, 0, 1, 1)) for each in (h, c))
            neighbours = torch.cat([h.narrow(1, start + 1, length), h.narrow(1, start, length)], -1)
            all_gates = torch.baddbmm(diagonal.flatten(1, 2), neighbours.flatten(1, 2), states)
            c, h = cell(all_gates.view_as(diagonal), c.narrow(1, start + 1, length))
            first = own.start
            diagonals.append(h)
        return torch.cat(diagonals, 1)


class Layer(nn.Module):
    """x + U h, where U is a 1 × 1 convolution by mask B."""

    def __init__(self, recurrence: RowLSTM | DiagonalBiLSTM, groups: int) -> None:
        super().__init__()
        self.recurrence = recurrence
        self.up = MaskedConv2d(recurrence.hidden, 2 * recurrence.hidden, groups)

    def forward(self, x: Tensor, *given: Tensor | None) -> Tensor:
        """The next features (N, 2h, H, W), of these and of what else the recurrence is given."""
        return x + self.up(self.recurrence(x, *given))
