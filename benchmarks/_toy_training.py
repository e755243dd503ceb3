"""The training that is timed on a cluster: a VAE of wide layers on random pictures, in which arithmetic dominates."""

from __future__ import annotations

from pathlib import Path

import torch

from models.catalogue import build, family_class
from models.contract import Event, Family
from pipelines.data.examples import Examples
from pipelines.params.schema import Loop
from pipelines.storage import Folder
from pipelines.training import checkpoint
from pipelines.training.loop import EndsSoon, Report, fit, never, unheard
from pipelines.training.task import Task

EVENT = Event((1, 28, 28), 256)
BATCH, STEPS = 512, 60


def family_and_data() -> tuple[Family, torch.Tensor]:
    """The untrained model and its examples, the same in every process."""
    torch.manual_seed(0)
    x = torch.randint(0, 256, (4096, 1, 28, 28), dtype=torch.uint8)
    family = build("vae", family_class("vae").Config(latent=64, hidden=(1024, 1024)), EVENT)
    family.initialise(x[:1000], None, torch.Generator().manual_seed(0))
    return family, x


def train(folder: Path, report: Report = unheard, ends_soon: EndsSoon = never) -> None:
    """Train with the project's own loop."""
    family, x = family_and_data()
    task = Task("toy", family, family.players(), Examples(x.numpy(), None), lambda: {"objective": 0.0})
    loop = Loop(steps=STEPS, batch_size=BATCH, validate_every=STEPS, checkpoint_every=STEPS, ema_decay=0.0)
    fit(task, loop, 0, Folder(folder), report, ends_soon)


def steps_per_second(folder: Path) -> float:
    """How fast a training was that has ended: what the loop itself has counted."""
    found = checkpoint.load(Folder(folder))
    assert found is not None
    return float(STEPS / found[1]["state"]["seconds"])
