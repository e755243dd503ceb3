"""The training that is timed on a cluster: a PixelCNN on random pictures: much arithmetic, and few weights to share."""

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

EVENT = Event((1, 16, 16), 16)
BATCH, STEPS = 32, 24


def family_and_data() -> tuple[Family, torch.Tensor]:
    """The untrained model and its examples, the same in every process."""
    torch.manual_seed(0)
    x = torch.randint(0, EVENT.levels or 0, (4096, *EVENT.shape), dtype=torch.uint8)
    family = build("pixelcnn", family_class("pixelcnn").Config(), EVENT)
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
