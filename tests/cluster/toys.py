"""Trainings that take seconds: of a VAE, of a GAN, and of a student."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import ray
import torch

from models.catalogue import build, family_class
from models.contract import Event, Family
from models.distillation import Distillation
from pipelines.cluster.launch import EndsSoon, Report, Work
from pipelines.data.examples import Examples
from pipelines.params.schema import Loop
from pipelines.storage import Folder
from pipelines.training.loop import fit
from pipelines.training.task import Task

EVENT = Event((6,), None)
STEPS, EACH = 300, 10  # of the training, and between two checkpoints


def training(kind: str, folder: Path, seconds: float) -> Work:
    """A small training whose validations last so many seconds, and are noted; each worker notes where it runs."""

    def work(report: Report, ends_soon: EndsSoon) -> None:
        rank = torch.distributed.get_rank()
        folder.mkdir(exist_ok=True)
        (folder / f"rank-{rank}").write_text(ray.get_runtime_context().get_node_id())
        torch.manual_seed(0)
        x = torch.randn(256, 6)
        family, players = family_of(kind, x)

        def validate() -> dict[str, float]:
            time.sleep(seconds)
            if rank == 0:
                with (folder / "validated").open("a") as noted:
                    noted.write("x")
            return {"objective": float(sum(each.double().square().sum() for each in family.parameters()))}

        loop = Loop(steps=STEPS, batch_size=33, validate_every=EACH, checkpoint_every=EACH, ema_decay=0.9)
        fit(
            Task("toy", family, players, Examples(x.numpy(), None), validate),
            loop,
            0,
            Folder(folder),
            report,
            ends_soon,
        )

    return work


def family_of(kind: str, x: torch.Tensor) -> tuple[Family, Any]:
    """A model and its players: those of a VAE, of a GAN, or of a student that imitates an untrained teacher."""
    sizes: dict[str, dict[str, Any]] = {
        "vae": {"latent": 2, "hidden": (16,), "decoder": "gaussian"},
        "gan": {"architecture": "mlp", "latent": 4, "hidden": (16,)},
        "maf": {"blocks": 2, "hidden": (16,)},
        "iaf": {"blocks": 2, "hidden": (16,)},
    }

    def made(name: str) -> Family:
        family = build(name, family_class(name).Config(**sizes[name]), EVENT)
        family.initialise(x, None, torch.Generator().manual_seed(0))
        return family

    if kind != "student":
        return (family := made(kind)), family.players()
    teacher, student = made("maf"), made("iaf")
    return student, Distillation(student, teacher).players()
