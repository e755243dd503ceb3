"""MAF and its student against zuko, nflows and normflows: a training step, scoring, exact sampling.

All sides have the same blocks, widths, data, dtype, optimiser and grad mode, and as many weights in use; ours does not
store those that are zero. Ours does a little more in each case: it standardises the data, and a sample is made of
float64 noise whose rows do not depend on how a batch is split. In normflows the slow direction is the one from the
data; its blocks are turned round.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
import zuko
from torch import Tensor, nn

from models.contract import Batch, Event
from models.iaf import IAF, IAFConfig
from models.layers.autoregressive.staircase import StaircaseLinear
from models.layers.flows.flow import Flow
from models.layers.flows.inversion import Inversion
from models.maf import MAF
from models.noise import Noise
from models.wavenet import WaveNet, WaveNetConfig

from ._rows import Row, pick_device, publish, race

BLOCKS = 5
HIDDEN = (1024, 1024)
BATCH = 100
SLOW_RUNS = 3  # where a call takes a minute
DIMENSIONS = (64, 784)  # of an 8 × 8 and of a 28 × 28 image
SOUND, RATE = Event((1, 8000), 256, 10), 16_000  # half a second
# As in profiles/speech.yaml.
TEACHER: dict[str, Any] = {
    **{"conditional": True, "input": "scalar", "output": "gaussian", "place": True, "first_kernel": 32},
    **{"channels": 48, "gate_channels": 48, "skip_channels": 64, "layers": 10, "stacks": 1, "kernel_size": 3},
}
STUDENT: dict[str, Any] = {
    **{"conditional": True, "alpha": None, "network": "causal", "blocks": 3, "channels": 32, "layers": 10},
    **{"kernel_size": 3, "first_kernel": 16},
}


@dataclass(frozen=True)
class Rival:
    """A flow and its abilities, whatever its library calls them."""

    module: nn.Module
    log_prob: Callable[[Tensor], Tensor]
    sample: Callable[[int], Tensor]
    loss: Callable[[Tensor], Tensor]


def ours(family: type[Flow], dimensions: int, inversion: Inversion = "auto") -> Rival:
    config = family.Config(blocks=BLOCKS, hidden=HIDDEN, inversion=inversion)
    model = family(config, Event((dimensions,), None))
    (player,) = model.players()
    generator = torch.Generator().manual_seed(0)
    return Rival(model, model.log_prob, model.sample, lambda x: player.loss(Batch(x, None, Noise(generator, len(x)))))


def zuko_flow(dimensions: int, student: bool = False) -> Rival:
    flow = zuko.flows.MAF(dimensions, transforms=BLOCKS, randperm=False, hidden_features=HIDDEN)
    if student:
        flow = zuko.flows.Flow(flow.transform.inv, flow.base)
    return Rival(
        flow, lambda x: flow().log_prob(x), lambda n: flow().sample((n,)), lambda x: -flow().log_prob(x).mean()
    )


def nflows_flow(dimensions: int) -> Rival:
    from nflows import flows, transforms
    from nflows.distributions.normal import StandardNormal

    layers: list[nn.Module] = []
    for _ in range(BLOCKS):
        layers.append(transforms.ReversePermutation(dimensions))
        layers.append(
            transforms.MaskedAffineAutoregressiveTransform(
                dimensions, HIDDEN[0], num_blocks=len(HIDDEN) - 1, use_residual_blocks=False, use_batch_norm=False
            )
        )
    flow = flows.Flow(transforms.CompositeTransform(layers), StandardNormal([dimensions]))
    return Rival(flow, flow.log_prob, flow.sample, lambda x: -flow.log_prob(x).mean())


def normflows_flow(dimensions: int) -> Rival:
    import normflows as nf

    layers: list[nn.Module] = []
    for _ in range(BLOCKS):
        block = nf.flows.MaskedAffineAutoregressive(
            dimensions, HIDDEN[0], num_blocks=len(HIDDEN) - 1, use_residual_blocks=False
        )
        layers += [nf.flows.Reverse(block), nf.flows.Permute(dimensions, mode="swap")]
    flow = nf.NormalizingFlow(nf.distributions.DiagGaussian(dimensions, trainable=False), layers)
    return Rival(flow, flow.log_prob, lambda n: flow.sample(n)[0], flow.forward_kld)


PEERS: dict[str, Callable[[int], Rival]] = {"zuko": zuko_flow, "nflows": nflows_flow, "normflows": normflows_flow}


def connections(rival: Rival) -> int:
    """How many weights are in use: what masks leave over."""
    total = 0
    for module in rival.module.modules():
        mask = getattr(module, "mask", None)
        if isinstance(module, nn.Linear) and isinstance(mask, Tensor):
            total += int((mask != 0).sum())
        elif isinstance(module, StaircaseLinear):
            edges = module.edges(torch.float64)
            whole = sum((step.rows.stop - step.rows.start) * step.full for step in module.steps)
            total += whole + int(sum(edge.sum() for edge in edges))
    return total


def scoring(rival: Rival, x: Tensor) -> Callable[[], object]:
    rival.module.eval()
    return torch.no_grad()(lambda: rival.log_prob(x))


def sampling(rival: Rival, x: Tensor) -> Callable[[], object]:
    rival.module.eval()
    return torch.no_grad()(lambda: rival.sample(len(x)))


def training(rival: Rival, x: Tensor) -> Callable[[], object]:
    optimiser = torch.optim.AdamW(rival.module.parameters(), lr=1e-4, fused=True)

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        rival.loss(x).backward()
        optimiser.step()

    return step


def maf_rows(
    name: str, work: Callable[[Rival, Tensor], Callable[[], object]], device: torch.device, runs: int = 15
) -> Iterable[Row]:
    for dimensions in DIMENSIONS:
        x = torch.randn(BATCH, dimensions, generator=torch.Generator().manual_seed(0)).to(device)
        mine, peers = ours(MAF, dimensions), {who: make(dimensions) for who, make in PEERS.items()}
        in_use = {who: connections(rival) for who, rival in {"ours": mine, **peers}.items()}
        assert len(set(in_use.values())) == 1, f"unequal sizes: {in_use}"
        for rival in (mine, *peers.values()):
            rival.module.to(device)
        rivals = {who: work(rival, x) for who, rival in peers.items()}
        yield from race(f"{name} {dimensions}", work(mine, x), rivals, device, runs=runs)


def student_rows(device: torch.device) -> Iterable[Row]:
    """A student against its teacher's sampler, with a pass per dimension and as it is, and against zuko's."""
    for dimensions in DIMENSIONS:
        flows = {
            "student": ours(IAF, dimensions),
            "its maf, a pass per dimension": ours(MAF, dimensions, "plain"),
            "its maf": ours(MAF, dimensions),
            "zuko's iaf": zuko_flow(dimensions, student=True),
        }
        for flow in flows.values():
            flow.module.to(device)
        samplers = {name: sampling(flow, torch.empty(BATCH, dimensions)) for name, flow in flows.items()}
        yield from race(f"student sample {dimensions}", samplers.pop("student"), samplers, device, runs=SLOW_RUNS)


def sound_rows(device: torch.device) -> Iterable[Row]:
    """A student's sound of 8,000 numbers against its WaveNet's, plain (one pass is timed) and cached, and the clock."""
    teacher = WaveNet(WaveNetConfig(**TEACHER), SOUND).to(device).eval()
    student = IAF(IAFConfig(**STUDENT), SOUND).to(device).eval()
    length = SOUND.dimensions
    x, label = torch.zeros(1, *SOUND.shape, device=device), torch.zeros(1, dtype=torch.long, device=device)
    sample = torch.no_grad()(partial(student.sample, 1, label))
    one_pass = torch.no_grad()(partial(teacher.network, x, label))
    (plain,) = race(f"student sample {length}", sample, {"a pass": one_pass}, device)
    yield replace(plain, other=plain.other * length, other_name="its wavenet, a pass per number")
    cached = torch.no_grad()(partial(teacher.sample, 1, label))
    yield from race(f"student sample {length}", sample, {"its wavenet, cached": cached}, device, runs=SLOW_RUNS)
    clock = {"ours": length / RATE / (plain.ours / 1e3), "other": 1.0, "other_name": f"real time at {RATE} Hz"}
    yield replace(plain, case=f"student sound {length}", unit="x", higher_is_better=True, **clock)


def main() -> None:
    torch.manual_seed(0)
    device = pick_device()
    rows = [*maf_rows("maf train", training, device), *maf_rows("maf log_prob", scoring, device)]
    rows += [*maf_rows("maf sample", sampling, device, SLOW_RUNS), *student_rows(device), *sound_rows(device)]
    publish("flows", rows)


if __name__ == "__main__":
    main()
