"""MAF and IAF against zuko's and nflows' of equal size: scoring, a training step, and sampling.

All sides have the same parameters (their counts are compared), data, dtype, optimiser and grad mode. Ours does a
little more than its peers in each case: it standardises the data, and a sample is made with its log-determinant, of
float64 noise whose rows do not depend on how a batch is split.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import zuko
from rich.console import Console
from torch import Tensor, nn

from models.contract import Batch, Event
from models.iaf import IAF
from models.layers.flow import AutoregressiveFlow
from models.maf import MAF
from models.noise import Noise

from ._rows import Row, pick_device, publish, race

BLOCKS = 5
HIDDEN = (128, 128)
BATCH = 256
DIMENSIONS = (6, 64)  # of a table, and of an 8 × 8 image


@dataclass(frozen=True)
class Rival:
    """A flow and its two abilities, whatever its library calls them."""

    module: nn.Module
    log_prob: Callable[[Tensor], Tensor]
    sample: Callable[[int], Tensor]
    loss: Callable[[Tensor], Tensor]


def our_flow(family: type[AutoregressiveFlow], dimensions: int) -> Rival:
    config = family.Config(blocks=BLOCKS, hidden=HIDDEN)
    model = family(config, Event((dimensions,), None))
    (player,) = model.players()
    generator = torch.Generator().manual_seed(0)
    return Rival(model, model.log_prob, model.sample, lambda x: player.loss(Batch(x, None, Noise(generator, len(x)))))


def zuko_flow(family: type[AutoregressiveFlow], dimensions: int) -> Rival:
    flow = zuko.flows.MAF(dimensions, transforms=BLOCKS, randperm=False, hidden_features=HIDDEN)
    if family is IAF:
        flow = zuko.flows.Flow(flow.transform.inv, flow.base)
    return Rival(
        flow,
        lambda x: flow().log_prob(x),
        lambda n: flow().sample((n,)),
        lambda x: -flow().log_prob(x).mean(),
    )


def nflows_flow(family: type[AutoregressiveFlow], dimensions: int) -> Rival:
    from nflows.distributions.normal import StandardNormal
    from nflows.flows import Flow
    from nflows.transforms import (
        CompositeTransform,
        InverseTransform,
        MaskedAffineAutoregressiveTransform,
        ReversePermutation,
    )

    depth, width = len(HIDDEN), HIDDEN[0]
    layers: list[nn.Module] = []
    for _ in range(BLOCKS):
        layers.append(ReversePermutation(dimensions))
        layers.append(
            MaskedAffineAutoregressiveTransform(
                dimensions, width, num_blocks=depth - 1, use_residual_blocks=False, use_batch_norm=False
            )
        )
    transform = CompositeTransform(layers)
    flow = Flow(InverseTransform(transform) if family is IAF else transform, StandardNormal([dimensions]))
    return Rival(flow, flow.log_prob, flow.sample, lambda x: -flow.log_prob(x).mean())


def makers() -> dict[str, Callable[[type[AutoregressiveFlow], int], Rival]]:
    """Whoever is installed."""
    found: dict[str, Callable[[type[AutoregressiveFlow], int], Rival]] = {"zuko": zuko_flow}
    try:
        nflows_flow(MAF, 2)
    except ImportError as error:
        Console(stderr=True).print(f"nflows is left out ({error}); `uv sync --group bench` installs it")
    else:
        found["nflows"] = nflows_flow
    return found


def scoring(rival: Rival, x: Tensor) -> Callable[[], object]:
    rival.module.eval()
    return torch.no_grad()(lambda: rival.log_prob(x))


def sampling(rival: Rival, x: Tensor) -> Callable[[], object]:
    rival.module.eval()
    return torch.no_grad()(lambda: rival.sample(len(x)))


def training(rival: Rival, x: Tensor) -> Callable[[], object]:
    optimiser = torch.optim.AdamW(rival.module.parameters(), lr=1e-4)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        rival.loss(x).backward()
        optimiser.step()

    return step


CASES = [
    (MAF, "maf log_prob", scoring),
    (MAF, "maf train step", training),
    (MAF, "maf sample", sampling),
    (IAF, "iaf sample", sampling),
]


def main() -> None:
    device = pick_device()
    rows: list[Row] = []
    rivals = makers()
    for dimensions in DIMENSIONS:
        x = torch.randn(BATCH, dimensions, generator=torch.Generator().manual_seed(0)).to(device)
        for family, name, work in CASES:
            torch.manual_seed(0)
            field = {who: make(family, dimensions) for who, make in {"ours": our_flow, **rivals}.items()}
            sizes = {who: sum(p.numel() for p in rival.module.parameters()) for who, rival in field.items()}
            assert len(set(sizes.values())) == 1, f"unequal sizes: {sizes}"
            for rival in field.values():
                rival.module.to(device)
            ours, *_ = runners = {who: work(rival, x) for who, rival in field.items()}
            rows += race(f"{name}, D = {dimensions}", runners.pop(ours), runners, device)
    publish("flows", rows)


if __name__ == "__main__":
    main()
