"""Data-parallel workers at one global batch compute the gradients of a single worker, for every family."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import distributed, multiprocessing

from models.catalogue import build, family_class
from models.distillation import Distillation
from pipelines.data.examples import Examples
from pipelines.params.schema import Loop
from pipelines.storage import Folder
from pipelines.training.loop import Training
from pipelines.training.task import Task

from ...models.families import IMAGE, SEQUENCE, SMALL, examples
from ...models.test_table_rows import EVENT as TABLE
from ...models.test_table_rows import rows

BATCH = 12
ENTRIES = [
    *sorted(SMALL),
    *("distilled", "black or white", "half faded in", "free bits", "bounded critic", "augmented", "columns", "rows"),
]
BLACK_OR_WHITE = replace(IMAGE, levels=2)
HALF_FADED_IN = 3  # the step of the small progressive GAN in whose sums old and new layers weigh the same


def task(entry: str) -> Task:
    """A training of a small family on random data, the same in every process."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    fitting = (event for event in (IMAGE, SEQUENCE) if entry not in SMALL or not family_class(entry).refusal(event))
    event = next(fitting)
    x, labels = examples(event, 36)
    data = Examples(x.numpy(), labels.numpy())

    if entry == "black or white":  # streamed, and drawn anew at each step
        streamed = Examples(x.numpy(), labels.numpy(), limit=x.nbytes - 1, grey_levels=IMAGE.levels)
        vae = build("vae", family_class("vae").Config(**SMALL["vae"], conditional=True), BLACK_OR_WHITE)
        vae.initialise(*streamed.head(36), torch.Generator().manual_seed(0))
        return Task(entry, vae, vae.players(), streamed, lambda: {"objective": 0.0})

    def family(model: str):  # noqa: ANN202 -- any family
        built = build(model, family_class(model).Config(**SMALL[model], conditional=True), event)
        built.initialise(x, labels, torch.Generator().manual_seed(0))
        if model == "realnvp":  # away from a start at which gradients vanish: normalised again, nothing would change
            with torch.no_grad():
                for parameter in built.parameters():
                    parameter.add_(0.1 * torch.randn_like(parameter))
        return built

    if entry == "distilled":
        student = family("iaf")
        return Task(entry, student, Distillation(student, family("maf")).players(), None, lambda: {"objective": 0.0})
    if entry == "free bits":
        config = family_class("vae").Config(**SMALL["vae"], free_bits=0.05)
        vae = build("vae", config, event)
        return Task(entry, vae, vae.players(), data, lambda: {"objective": 0.0})
    if entry == "bounded critic":
        bounds = {"architecture": "residual", "spectral_norm": True, "gradient_penalty": 1.0, "instance_noise": 0.1}
        gan = build("gan", family_class("gan").Config(**SMALL["gan"], **bounds, r1=1.0), event)
        return Task(entry, gan, gan.players(), data, lambda: {"objective": 0.0})
    if entry == "augmented":
        config = family_class("gan").Config(**SMALL["gan"], augment=True, r1=1.0, r1_every=2)
        gan = build("gan", config, event)
        return Task(entry, gan, gan.players(), data, lambda: {"objective": 0.0})
    if entry == "columns":
        gmm = build("gmm", family_class("gmm").Config(components=3, covariance="diagonal"), TABLE)
        of_table = rows(36)
        gmm.initialise(of_table, None, torch.Generator().manual_seed(0))
        table = Examples(of_table.numpy(), None)
        return Task(entry, gmm, gmm.players(), table, lambda: {"objective": 0.0})
    if entry == "rows":  # whose conditions, and the rows that have them, are those of the global batch
        config = family_class("gan").Config(**SMALL["gan"], architecture="mlp", r1=1.0)
        gan, x = build("gan", config, TABLE), rows(36)
        return Task(entry, gan, gan.players(), Examples(x.numpy(), None), lambda: {"objective": 0.0})
    model = family("progressive_gan" if entry == "half faded in" else entry)
    return Task(entry, model, model.players(), data, lambda: {"objective": 0.0})


def one_step(entry: str, folder: Path) -> dict[str, torch.Tensor]:
    """The gradient of every moved weight in one step (for EM: the weights after it), averaged over the workers."""
    training = Training(task(entry), Loop(steps=4, batch_size=BATCH), 0, Folder(folder), lambda _: None)
    training.state.step = HALF_FADED_IN if entry == "half faded in" else 0
    training._step()
    found = {}
    for player in training.task.players:
        for name, parameter in player.module.named_parameters():
            value = parameter if player.closed_form is not None else parameter.grad
            if value is None:
                assert player.partly
                continue
            found[f"{player.name}/{name}"] = value.detach().clone()
    return found


def worker(rank: int, workers: int, folder: str) -> None:
    address = f"file://{folder}/meeting"  # a port that is free now may be taken when the workers have started
    distributed.init_process_group("gloo", address, timedelta(seconds=300), rank=rank, world_size=workers)
    for entry in ENTRIES:
        gradients = one_step(entry, Path(folder) / "state")
        if rank == 0:
            np.savez(f"{folder}/{entry}.npz", **{key.replace("/", "|"): g.numpy() for key, g in gradients.items()})
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def by_two_workers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The gradients of two workers, one of which is this process."""
    folder = tmp_path_factory.mktemp("workers")
    other = multiprocessing.spawn(worker, args=(2, str(folder)), nprocs=1, join=False)  # of rank 0
    worker(1, 2, str(folder))
    while not other.join():
        pass
    return folder


@pytest.mark.parametrize("entry", ENTRIES)
def test_two_workers_compute_the_gradients_of_one(entry: str, by_two_workers: Path, tmp_path: Path) -> None:
    alone = one_step(entry, tmp_path)
    with np.load(by_two_workers / f"{entry}.npz") as together:
        assert {key.replace("|", "/") for key in together.files} == set(alone)
        for name, gradient in alone.items():
            other = torch.from_numpy(together[name.replace("/", "|")])
            scale = gradient.abs().max().clamp_min(1e-6)
            torch.testing.assert_close(other / scale, gradient / scale, atol=1e-4, rtol=1e-4, msg=f"{entry}: {name}")
