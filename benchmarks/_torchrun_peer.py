"""The same training in plain PyTorch, for `torchrun`: DistributedDataParallel, AdamW, and nothing else.

    torchrun --nproc-per-node N -m benchmarks._torchrun_peer FILE

writes the steps per second into FILE.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from models.contract import Batch
from models.noise import Noise
from pipelines.training.players import PlayerLoss

from ._toy_training import BATCH, STEPS, family_and_data


def main() -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo")
    rank, workers = distributed.get_rank(), distributed.get_world_size()
    family, x = family_and_data()
    (player,) = family.players()
    loss = PlayerLoss(player)
    model = DistributedDataParallel(loss) if workers > 1 else loss
    optimiser = torch.optim.AdamW(player.module.parameters(), lr=player.learning_rate, fused=True)
    generator, rows = torch.Generator().manual_seed(0), BATCH // workers
    began = time.perf_counter()
    for step in range(STEPS):
        start = (step * BATCH) % (len(x) - BATCH + 1) + rank * rows
        noise = Noise(generator, rows, rank * rows, BATCH)
        optimiser.zero_grad(set_to_none=True)
        model(Batch(x[start : start + rows], None, noise, torch.tensor(step))).backward()
        optimiser.step()
    if rank == 0:
        Path(sys.argv[1]).write_text(str(STEPS / (time.perf_counter() - began)))
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
