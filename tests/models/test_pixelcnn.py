"""PixelCNN: receptive fields by gradient, its blind spot and the lack of one, conditioning, and what it can learn."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from models.contract import Batch, Event, UnsuitableEvent
from models.layers.autoregressive.raster import MaskedConv2d, groups_of, raster_order
from models.layers.inputs import network_input
from models.noise import Noise
from models.pixelcnn import PixelCNN, PixelCNNConfig

from .cases import COLOUR, IMAGE, SEQUENCE, VECTOR, Case

SMALL: dict[str, Any] = {"layers": 2, "width": 6, "head": 6, "first_kernel": 3}
VARIANTS = [
    Case("pixelcnn", IMAGE, {"stack": "plain"}),
    Case("pixelcnn", COLOUR, {"stack": "plain", "output": "logistic_mixture", "components": 2}),
]


def pixelcnn(event: Event, **options: object) -> PixelCNN:
    torch.manual_seed(0)
    settings = {"layers": 6, "width": 12, "head": 12, "first_kernel": 3, **options}
    return PixelCNN(PixelCNNConfig(**settings), event).double().eval()


def sight(family: PixelCNN) -> Tensor:
    """What sees what, in raster order: (D, D) bools, output by input, of the gradients at several images."""
    event = family.event
    assert event.levels is not None
    x = torch.randint(event.levels, (8, *event.shape), generator=torch.Generator().manual_seed(0))
    torch.set_default_dtype(torch.float64)
    y = network_input(x, event, None).requires_grad_()
    torch.set_default_dtype(torch.float32)
    outputs = family.head(family.stack(y, None))
    rows = []
    for position in family.order:
        (slope,) = torch.autograd.grad(outputs[:, position].square().sum(), y, retain_graph=True)
        rows.append(slope.abs().sum(0).flatten()[family.order] > 0)
    return torch.stack(rows)


@pytest.mark.parametrize("stack", ["plain", "gated"])
@pytest.mark.parametrize("shape", [(1, 6, 6), (3, 4, 4), (2, 5, 3)])
def test_no_number_sees_itself_or_the_future(stack: str, shape: tuple[int, ...]) -> None:
    sees = sight(pixelcnn(Event(shape, 4), stack=stack))
    assert not sees.triu().any()


@pytest.mark.parametrize("shape", [(1, 7, 7), (3, 4, 4)])
@pytest.mark.parametrize("kernel", [3, 5])
def test_the_gated_stack_has_no_blind_spot(shape: tuple[int, ...], kernel: int) -> None:
    """Each number sees all before it, in every colour channel."""
    sees = sight(pixelcnn(Event(shape, 4), kernel=kernel, width=24, head=24))
    assert torch.equal(sees, torch.ones_like(sees).tril(-1))


def test_the_plain_stack_has_a_blind_spot_above_to_the_right() -> None:
    side = 9
    sees = sight(pixelcnn(Event((1, side, side), 4), stack="plain", layers=2)).view(side, side, side, side)
    assert sees[4, 1, 2, 3] and not sees[4, 1, 2, 4], "the cone opens by a pixel for each row"
    far = sight(pixelcnn(Event((1, side, side), 4), stack="plain", layers=12)).view(side, side, side, side)
    assert not far[4, 1, 2, 4], "and no number of layers changes that"


@pytest.mark.parametrize("stack", ["plain", "gated"])
def test_colours_of_a_pixel_are_seen_in_order(stack: str) -> None:
    sees = sight(pixelcnn(Event((3, 3, 3), 4), stack=stack, width=24, head=24)).view(9, 3, 9, 3)
    own = torch.stack([sees[pixel, :, pixel] for pixel in range(9)])
    assert torch.equal(own, torch.ones(9, 3, 3, dtype=torch.bool).tril(-1)), "R: none, G: R, B: R and G"


def test_features_of_rows_above_see_no_part_of_their_own_row() -> None:
    family = pixelcnn(Event((1, 5, 5), 4))
    torch.set_default_dtype(torch.float64)
    y = torch.randn(1, 1, 5, 5, requires_grad=True)
    torch.set_default_dtype(torch.float32)
    v = family.stack.vertical(y)
    for layer in family.stack.layers:
        v, _, _ = layer(v, v, None)
    (slope,) = torch.autograd.grad(v[:, :, 2].sum(), y)
    assert slope[:, :, :2].abs().min() > 0 and not slope[:, :, 2:].any()


def test_a_masked_kernel_is_a_whole_one_with_zeros() -> None:
    conv = MaskedConv2d(2, 4, 2, above=1, side=1, own=False)
    whole = torch.zeros(4, 2, 3, 3)
    whole[:, :, :2] = conv.weight * conv.mask
    x = torch.randn(3, 2, 5, 6)
    expected = torch.nn.functional.conv2d(x, whole, conv.bias, padding=1)
    torch.testing.assert_close(conv(x), expected)
    assert not whole[:2, :, 1, 1].any(), "the first group does not see itself"
    assert whole[2:, :1, 1, 1].all() and not whole[2:, 1:, 1, 1].any(), "the second sees the first"


def test_groups_and_order() -> None:
    assert groups_of(12, 3, 2).tolist() == [0, 0, 1, 1, 2, 2] * 2
    assert raster_order(Event((3, 1, 2), 4)) == [0, 2, 4, 1, 3, 5]


def test_widths_are_rounded_up_to_the_channels() -> None:
    family = pixelcnn(Event((3, 4, 4), 4), width=16, head=10)
    assert family.stack.horizontal.out_channels == 18 and family.head.hidden.out_channels == 12


def test_even_kernels_are_refused() -> None:
    with pytest.raises(ValueError, match="must be odd"):
        PixelCNNConfig(kernel=4)


def test_other_events_are_refused() -> None:
    for event in (VECTOR, SEQUENCE):
        with pytest.raises(UnsuitableEvent, match="pixelcnn models images of integers"):
            PixelCNN(PixelCNNConfig(), event)


@pytest.mark.parametrize("stack", ["plain", "gated"])
def test_a_few_steps_learn_a_pattern(stack: str) -> None:
    """Images of one class are stripes, of the other their negatives: all but the first pixel and the class follow."""
    event = Event((1, 6, 6), 2, 2)
    torch.manual_seed(0)
    family = PixelCNN(PixelCNNConfig(stack=stack, layers=2, width=16, head=16, conditional=True), event)
    labels = torch.arange(16) % 2
    stripes = torch.arange(6) % 2
    x = (stripes + labels[:, None]).remainder(2)[:, None, None, :].expand(16, 1, 6, 6).to(torch.uint8)
    optimiser = torch.optim.Adam(family.parameters(), lr=1e-2)
    (player,) = family.players()
    for _ in range(60):
        optimiser.zero_grad()
        player.loss(Batch(x, labels, Noise(torch.Generator(), 16))).backward()
        optimiser.step()
    family.eval()
    assert family.log_prob(x, labels).mean() > -1.0, "of the 25 nats of coin tosses"
    assert (family.log_prob_by_class(x).argmax(1) == labels).all()
    assert torch.equal(family.sample(16, labels, generator=torch.Generator().manual_seed(0)), x)
