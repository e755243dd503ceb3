"""PixelRNN: receptive fields by gradient, both recurrences against naive ones, the sampler, and what it can learn."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from models.contract import Batch, Event, UnsuitableEvent
from models.layers.inputs import network_input
from models.noise import Noise
from models.pixelrnn import PixelRNN, PixelRNNConfig
from models.pixelrnn_layers import DiagonalBiLSTM, DiagonalLSTM, RowLSTM, Skew, cell

from .cases import COLOUR, IMAGE, PALETTE, SEQUENCE, VECTOR, Case

SMALL: dict[str, Any] = {"layers": 2, "width": 6, "head": 6, "first_kernel": 3}
VARIANTS = [
    Case("pixelrnn", IMAGE, {"recurrence": "row_lstm"}),
    Case("pixelrnn", COLOUR, {"recurrence": "row_lstm", "output": "logistic_mixture", "components": 2}),
]

GREY, RGB = Event((1, 5, 6), 4, 3), Event((3, 4, 3), 6, 3)
both = pytest.mark.parametrize("recurrence", ["row_lstm", "diagonal_bilstm"])


def pixelrnn(event: Event, jitter: float = 0.0, **options: object) -> PixelRNN:
    torch.manual_seed(0)
    settings = {"layers": 2, "width": 6, "head": 12, "first_kernel": 3, **options}
    family = PixelRNN(PixelRNNConfig(**settings), event).eval()
    with torch.no_grad():
        for parameter in family.parameters():
            parameter.add_(jitter * torch.randn_like(parameter))
    return family


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(params=[torch.float32, torch.float64], ids=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> Iterator[None]:
    torch.set_default_dtype(request.param)
    yield
    torch.set_default_dtype(torch.float32)


# Receptive fields


def sight(family: PixelRNN) -> Tensor:
    """What sees what, in raster order: (D, D) bools, output by input, of the gradients at several images."""
    event = family.event
    assert event.levels is not None
    y = network_input(torch.randint(event.levels, (8, *event.shape), generator=seeded(0)), event, None)
    with patch("models.pixelrnn.network_input", lambda x, *_: x):
        y.requires_grad_()
        outputs = family.network(y, None)
    rows = []
    for position in family.order:
        (slope,) = torch.autograd.grad(outputs[:, position].square().sum(), y, retain_graph=True)
        rows.append(slope.abs().sum(0).flatten()[family.order] > 0)
    return torch.stack(rows)


@both
@pytest.mark.parametrize("shape", [(1, 6, 6), (3, 4, 4), (2, 5, 3), (1, 3, 7)])
@pytest.mark.usefixtures("float64")
def test_no_number_sees_itself_or_the_future(recurrence: str, shape: tuple[int, ...]) -> None:
    sees = sight(pixelrnn(Event(shape, 4), recurrence=recurrence))
    assert not sees.triu().any()


@pytest.mark.parametrize("shape", [(1, 7, 7), (3, 4, 5), (1, 8, 3)])
@pytest.mark.usefixtures("float64")
def test_one_layer_of_the_diagonal_bilstm_sees_all_that_came_before(shape: tuple[int, ...]) -> None:
    sees = sight(pixelrnn(Event(shape, 4), recurrence="diagonal_bilstm", layers=1, width=18))
    assert torch.equal(sees, torch.ones_like(sees).tril(-1))


@pytest.mark.usefixtures("float64")
def test_one_layer_of_the_row_lstm_sees_a_triangle() -> None:
    """With each row K^ss sees a pixel more to either side; K^is and the first convolution, one to the left each."""
    side = 9
    sees = sight(pixelrnn(Event((1, side, side), 4), recurrence="row_lstm", layers=1)).view(side, side, side, side)
    triangle = torch.zeros(side, side, dtype=torch.bool)
    triangle[5, 2:4] = True
    for rows in range(1, 6):
        triangle[5 - rows, max(0, 4 - rows - 2) : 4 + rows + 1] = True
    assert torch.equal(sees[5, 4], triangle)


@both
@pytest.mark.usefixtures("float64")
def test_colours_of_a_pixel_are_seen_in_order(recurrence: str) -> None:
    sees = sight(pixelrnn(Event((3, 3, 3), 4), recurrence=recurrence, width=18)).view(9, 3, 9, 3)
    own = torch.stack([sees[pixel, :, pixel] for pixel in range(9)])
    assert torch.equal(own, torch.ones(9, 3, 3, dtype=torch.bool).tril(-1)), "R: none, G: R, B: R and G"


# Recurrences


@pytest.mark.parametrize(("height", "width"), [(4, 4), (3, 5), (5, 2), (1, 3), (3, 1)])
def test_skewing_is_undone(height: int, width: int) -> None:
    skew, x = Skew(height, width), torch.randn(2, height, width, 2, 3)
    image, mirrored = skew(x)
    assert torch.equal(skew.undo(torch.stack([image, mirrored])), x)
    pixels = [(row, d - row) for d, rows in enumerate(skew.rows) for row in rows]
    assert sorted(pixels) == list(itertools.product(range(height), range(width)))
    for place, (row, column) in enumerate(pixels):
        assert torch.equal(image[place], x[0, row, column])
        assert torch.equal(mirrored[place], x[1, row, width - 1 - column])


def pixel_by_pixel(lstm: DiagonalLSTM, x: Tensor, context: Tensor | None) -> Tensor:
    """h (N, h, H, W) of features (N, 2h, H, W): each pixel after its left and its upper neighbour."""
    n, _, height, width = x.shape
    hidden = lstm.state.in_features // 2
    outside = x.new_zeros(n, hidden)
    states: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}
    for row, column in itertools.product(range(height), range(width)):
        c, left = states.get((row, column - 1), (outside, outside))
        _, up = states.get((row - 1, column), (outside, outside))
        gates = lstm.input(x[:, :, row : row + 1, column : column + 1])[:, :, 0, 0]
        gates = gates + lstm.state(torch.cat([left, up], 1))
        if lstm.context is not None:
            gates = gates + lstm.context(context)
        states[row, column] = cell(gates, c)
    return torch.stack([h for _, h in states.values()], -1).view(n, hidden, height, width)


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 3, 5), (1, 5, 2)])
@pytest.mark.parametrize("classes", [0, 3])
def test_diagonals_are_pixels_one_after_the_other(shape: tuple[int, ...], classes: int) -> None:
    lstm = DiagonalBiLSTM(12, 6, Event(shape, 4), classes)
    x, own = torch.randn(2, 2, 12, *shape[1:])
    context = torch.eye(3)[:2] if classes else None
    from_left = pixel_by_pixel(lstm.from_left, x, context)
    from_right = pixel_by_pixel(lstm.from_right, (x + own).flip(3), context).flip(3)
    expected = from_left + F.pad(from_right, (0, 0, 1, 0))[:, :, :-1]
    torch.testing.assert_close(lstm(x, own, context), expected)


@pytest.mark.parametrize("kernel", [3, 5])
def test_rows_are_convolutions_of_the_row_above(kernel: int) -> None:
    lstm = RowLSTM(12, 6, Event((3, 4, 5), 4), 0, kernel)
    x = torch.randn(2, 12, 4, 5)
    weight = lstm.state.weight.view(24, kernel, 6).transpose(1, 2)  # (out, in, taps)
    h, c, rows = torch.zeros(2, 6, 5), torch.zeros(2, 5, 6), []
    for row in lstm.input(x).unbind(2):
        gates = row + F.conv1d(h, weight, padding=kernel // 2)
        c, out = cell(gates.transpose(1, 2), c)
        h = out.transpose(1, 2)
        rows.append(h)
    torch.testing.assert_close(lstm(x, None), torch.stack(rows, 2))


def test_an_lstm_keeps_what_it_has_to_begin_with() -> None:
    for lstm in (RowLSTM(12, 6, GREY, 0, 3), DiagonalLSTM(12, 6, 1, 0)):
        assert lstm.input.bias is not None
        assert lstm.input.bias.tolist() == [0.0] * 6 + [1.0] * 6 + [0.0] * 12, "o, f, i, g"


def test_steps_are_rows_or_diagonals() -> None:
    for shape in [(1, 8, 8), (3, 5, 9)]:
        event = Event(shape, 4)
        assert pixelrnn(event, recurrence="row_lstm").sequential_steps == shape[1]
        assert pixelrnn(event, recurrence="diagonal_bilstm").sequential_steps == shape[1] + shape[2] - 1


@both
def test_the_recurrence_takes_as_many_steps_as_it_says(recurrence: str) -> None:
    family = pixelrnn(GREY, recurrence=recurrence, layers=3)
    with patch("models.pixelrnn_layers.cell", wraps=cell) as counted:
        family.network(torch.zeros(2, *GREY.shape), None)
    assert counted.call_count == 3 * family.sequential_steps


# Samples and probabilities


@both
@pytest.mark.parametrize("event", [GREY, RGB, PALETTE], ids=["grey", "colour", "palette"])
@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("output", ["softmax", "logistic_mixture"])
@pytest.mark.usefixtures("dtype")
def test_the_sampler_that_reuses_work_gives_the_samples_of_the_plain_one(
    recurrence: str, event: Event, conditional: bool, output: str
) -> None:
    if output == "logistic_mixture" and not event.ordered:
        pytest.skip("the levels are names")
    options = {"recurrence": recurrence, "conditional": conditional, "output": output, "components": 2}
    family = pixelrnn(event, jitter=0.3, **options)
    quick = family.sample(5, generator=seeded(1))
    with patch.object(family, "stepper", family.plain_stepper):
        plain = family.sample(5, generator=seeded(1))
    assert torch.equal(quick, plain) and quick.unique().numel() > 1


@both
@pytest.mark.parametrize("shape", [(1, 3, 3), (3, 1, 2), (2, 3, 1)])
@pytest.mark.parametrize("conditional", [False, True])
def test_the_probabilities_of_all_images_sum_to_one(recurrence: str, shape: tuple[int, ...], conditional: bool) -> None:
    event = Event(shape, 2, 2)
    family = pixelrnn(event, jitter=0.3, recurrence=recurrence, conditional=conditional)
    every = torch.tensor(list(itertools.product(range(2), repeat=event.dimensions))).view(-1, *shape)
    with torch.no_grad():
        p = family.log_prob(every).double().exp()
    assert p.sum().item() == pytest.approx(1, abs=1e-5)


@both
def test_a_top_half_is_completed_and_left_as_it_is(recurrence: str) -> None:
    event = Event((3, 6, 4), 4)
    family = pixelrnn(event, jitter=0.3, recurrence=recurrence)
    x = torch.randint(4, (3, *event.shape), generator=seeded(0), dtype=torch.uint8)
    known = torch.zeros(event.shape, dtype=torch.bool)
    known[:, :3] = True
    completed = family.complete(x, known, generator=seeded(1))
    assert family.completes_exactly(known)
    assert torch.equal(completed[:, :, :3], x[:, :, :3]) and not torch.equal(completed, x)
    with patch.object(family, "stepper", family.plain_stepper):
        assert torch.equal(completed, family.complete(x, known, generator=seeded(1)))


@both
def test_a_few_steps_learn_a_pattern(recurrence: str) -> None:
    """Images of one class are stripes, of the other their negatives: all follows from the class."""
    event = Event((1, 6, 6), 2, 2)
    family = pixelrnn(event, recurrence=recurrence, width=12, conditional=True)
    labels = torch.arange(16) % 2
    x = (torch.arange(6) + labels[:, None]).remainder(2)[:, None, None, :].expand(16, 1, 6, 6).to(torch.uint8)
    optimiser = torch.optim.Adam(family.parameters(), lr=1e-2)
    (player,) = family.players()
    for _ in range(60):
        optimiser.zero_grad()
        player.loss(Batch(x, labels, Noise(torch.Generator(), 16))).backward()
        optimiser.step()
    with torch.no_grad():
        assert family.log_prob(x, labels).mean() > -1.0, "of the 25 nats of coin tosses"
        assert (family.log_prob_by_class(x).argmax(1) == labels).all()
    assert torch.equal(family.sample(16, labels, generator=seeded(0)), x)


def test_widths_are_rounded_up_to_the_channels() -> None:
    family = pixelrnn(RGB, width=16, head=10)
    assert family.first.out_channels == 36 and family.head.hidden.out_channels == 12


def test_other_events_are_refused() -> None:
    for event in (VECTOR, SEQUENCE):
        with pytest.raises(UnsuitableEvent, match="pixelrnn models images of integers"):
            PixelRNN(PixelRNNConfig(), event)
