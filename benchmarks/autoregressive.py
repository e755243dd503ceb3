"""Autoregressive families: sampling that reuses work against plain sampling, and training against a peer.

A plain sampler runs the whole network once for each number. It is timed by one such pass, times the numbers: run in
full it would take minutes to hours, and no pass of it is cheaper than another. What can be compared without a clock,
the arithmetic of sampling and the sequential steps of a recurrence, is counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from models.contract import Batch, Event
from models.layers.autoregressive.chain import Autoregressive
from models.noise import Noise
from models.pixelcnn import PixelCNN, PixelCNNConfig
from models.pixelrnn import PixelRNN, PixelRNNConfig
from models.wavenet import WaveNet, WaveNetConfig

from ._arithmetic import operations
from ._gated_peer import GatedPixelCNN
from ._rows import Row, device_name, pick_device, publish, race

IMAGES = Event((1, 28, 28), 2)
SOUNDS = Event((1, 8000), 256)
BATCH = 16
SOUND_BATCH = 1
LAYERS, WIDTH = 12, 64  # of the PixelCNNs
SAMPLING_RUNS = 5
SIDES = (8, 16, 28)


def gated_pixelcnn() -> Autoregressive:
    return PixelCNN(PixelCNNConfig(layers=LAYERS, width=WIDTH, head=WIDTH), IMAGES)


def pixelrnn(recurrence: Literal["row_lstm", "diagonal_bilstm"], side: int = 28, **size: int) -> PixelRNN:
    config = PixelRNNConfig(recurrence=recurrence, **{"layers": 7, "width": 64, **size})
    return PixelRNN(config, Event((1, side, side), 2))


def wavenet() -> Autoregressive:
    return WaveNet(WaveNetConfig(layers=10, stacks=3), SOUNDS)


def random_examples(family: Autoregressive, n: int) -> Tensor:
    """Integers (n, *event)."""
    assert family.event.levels is not None
    generator = torch.Generator().manual_seed(0)
    return torch.randint(family.event.levels, (n, *family.event.shape), generator=generator, dtype=torch.uint8)


def sampling(case: str, family: Autoregressive, n: int, device: torch.device) -> list[Row]:
    """Seconds for n samples: with the family's own stepper, and by a whole pass for each number."""
    family.to(device).eval()
    x, passes = random_examples(family, n).to(device), family.sampling_passes
    one_pass = torch.no_grad()(partial(family.network, x, None))
    rows = race(case, partial(family.sample, n), {"plain": one_pass}, device, runs=SAMPLING_RUNS)
    return [
        replace(
            row, ours=row.ours / 1e3, other=row.other * passes / 1e3, unit="s", other_name=f"plain, {passes} passes"
        )
        for row in rows
    ]


def arithmetic(case: str, family: Autoregressive, n: int, device: torch.device) -> Row:
    """Operations of sampling against those of one parallel pass, which scores n examples."""
    x = random_examples(family, n).to(device)
    ours, other = (operations(call) / 1e9 for call in (partial(family.sample, n), partial(family.network, x, None)))
    return Row(case, ours, other, "one pass", "GFLOP", False, device_name(device), torch.get_num_threads(), 1)


def training(device: torch.device) -> list[Row]:
    """A training step of the gated PixelCNN, and of its peer with as many layers of as many features."""
    torch.manual_seed(0)
    ours, peer = gated_pixelcnn().to(device), GatedPixelCNN(LAYERS, WIDTH, WIDTH, 2).to(device)
    x = random_examples(ours, BATCH).to(device)
    (player,) = ours.players()
    batch = Batch(x, None, Noise(torch.Generator(), BATCH))
    others = {"pytorch-generative, rebuilt": step(peer, partial(peer.loss, x))}
    return race("pixelcnn train", step(ours, partial(player.loss, batch)), others, device, runs=11)


def step(model: nn.Module, loss: Callable[[], Tensor]) -> Callable[[], None]:
    """One step of Adam."""
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4)

    def call() -> None:
        optimiser.zero_grad(set_to_none=True)
        loss().backward()
        optimiser.step()

    return call


def diagonals(side: int, device: torch.device) -> list[Row]:
    """The Diagonal BiLSTM: its sequential steps, and the time of a pass, against going pixel by pixel.

    It is small, and given a single image: the steps one after the other take the time, and not their arithmetic.
    """
    family = pixelrnn("diagonal_bilstm", side, layers=3, width=16).to(device).eval()
    x = random_examples(family, 1).to(device)
    case, pixels = f"diagonal_bilstm {side}x{side}", side * side
    counted = Row(
        f"{case} sequential steps", family.sequential_steps, pixels, "one per pixel", "steps", False, "any", 1, 1
    )

    @torch.no_grad()
    def by_pixel() -> None:
        stepper = family.stepper(len(x), None)
        for place, position in enumerate(family.order):
            stepper.feed(place, x.flatten(1)[:, position])

    one_pass = torch.no_grad()(partial(family.network, x, None))
    return [counted, *race(f"{case} pass", one_pass, {"pixel by pixel": by_pixel}, device, runs=SAMPLING_RUNS)]


def main() -> None:
    device = pick_device()
    torch.manual_seed(0)
    sound = wavenet()
    rows = sampling("pixelcnn sample 28x28", gated_pixelcnn(), BATCH, device)
    rows += sampling("row_lstm sample 28x28", pixelrnn("row_lstm"), BATCH, device)
    rows += sampling("diagonal_bilstm sample 28x28", pixelrnn("diagonal_bilstm"), BATCH, device)
    rows += sampling("wavenet sample 8000", sound, SOUND_BATCH, device)
    rows.append(arithmetic("wavenet sample 8000 arithmetic", sound, SOUND_BATCH, device))
    rows += training(device)
    for side in SIDES:
        rows += diagonals(side, device)
    publish("autoregressive", rows)


if __name__ == "__main__":
    main()
