"""Training steps and samples per second of latent-variable, adversarial and diffusion families.

`vae train` is the VAE in the project's own training loop against pythae's trainer: the same network, data, batch and
optimiser. `gan train` is the GAN in that loop against a plain loop as one would write it: the same networks, losses,
data, batch and optimiser. All that a loop does is timed: batches, noise, records, and the outcome that it writes.

`… sample` is `sample`, in samples per second, against what it cannot do without: the passes of its network alone, at
the same batch. What is more is the noise of float64, whose rows do not depend on how a batch is split, and the way to
the data's own units. The VAE's is against pythae's sampler, too, which gives means in place of pixels.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from rich.console import Console
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn import functional as F

from models.autoencoder import Autoencoder, AutoencoderConfig
from models.contract import Event, Family
from models.diffusion import Diffusion, DiffusionConfig
from models.gan import GAN, GANConfig
from models.progressive_gan import ProgressiveGAN, ProgressiveGANConfig
from models.vae import VAE, VAEConfig
from pipelines.data.examples import Examples
from pipelines.params.schema import Loop
from pipelines.storage import Folder
from pipelines.training.loop import fit
from pipelines.training.task import Task

from ._rows import Row, pick_device, publish, race

DIGITS = Event((1, 8, 8), 17)
HIDDEN, LATENT = (256, 256), 16
SIZES = [(8, (64, 64), 128), (8, (64, 64), 448), (8, HIDDEN, 128), (28, HIDDEN, 128)]  # sides, hidden layers, batches
BATCH = 128
SAMPLES = 256
EPOCHS = 20  # 280 steps: what a training does only once should not count for much
RATE = 1e-3
RUNS = 5


def images(side: int, levels: int) -> Tensor:
    """1,792 of scikit-learn's digits (N, 1, side, side), of integers 0 … levels-1, magnified."""
    x = torch.from_numpy(load_digits().images[: 14 * BATCH])[:, None]
    x = F.interpolate(x, size=(side, side))
    return (x * levels / 17).floor().to(torch.uint8)


def training(family: Family, x: Tensor, batch: int = BATCH) -> Callable[[], None]:
    """A whole training by the project's loop, from the weights that the family has."""
    examples = Examples(x.numpy(), None, next(family.parameters()).device)
    steps, never = EPOCHS * len(x) // batch, 10**9
    loop = Loop(steps=steps, batch_size=batch, schedule="constant", validate_every=never, checkpoint_every=never)

    def train() -> None:
        task = Task("ours", family, family.players(), examples, lambda: {"objective": 0.0})
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            fit(task, loop, 0, Folder(folder))

    return train


def plain_training(gan: GAN, x: Tensor) -> Callable[[], None]:
    """A training of the same networks with the same losses, as a script would have it."""
    device = next(gan.parameters()).device
    data = x.to(device)

    def train() -> None:
        gan.train()
        both = (gan.discriminator, gan.generator)
        d_optimiser, g_optimiser = (
            torch.optim.AdamW(each.parameters(), lr=gan.config.learning_rate, betas=(0.5, 0.999), weight_decay=0.0)
            for each in both
        )
        for _ in range(EPOCHS):
            for rows in torch.randperm(len(data)).split(BATCH):
                integers = data[rows.to(device)]
                real = (integers + torch.rand(integers.shape, device=device)) * (2 / 17) - 1
                with torch.no_grad():
                    fake = gan.generator(torch.randn(len(rows), gan.config.latent, device=device))
                d_loss = F.softplus(-gan.discriminator(real, None)) + F.softplus(gan.discriminator(fake, None))
                d_optimiser.zero_grad()
                d_loss.mean().backward()
                d_optimiser.step()
                fake = gan.generator(torch.randn(len(rows), gan.config.latent, device=device))
                gan.discriminator.requires_grad_(False)
                g_loss = F.softplus(-gan.discriminator(fake, None)).mean()
                g_optimiser.zero_grad()
                g_loss.backward()
                g_optimiser.step()
                gan.discriminator.requires_grad_(True)

    return train


def per_second(rows: list[Row], of: int, unit: str) -> list[Row]:
    """Rows in ms per call as rows in how many of the unit, of which a call makes some, are made in a second."""
    return [
        replace(row, ours=1e3 * of / row.ours, other=1e3 * of / row.other, unit=unit, higher_is_better=True)
        for row in rows
    ]


def vae_cases(device: torch.device) -> list[Row]:
    """Training and sampling against pythae, of networks and images of several sizes."""
    try:
        from . import _pythae_peer as peer
    except ImportError as error:
        Console(stderr=True).print(f"pythae is left out ({error}); `uv sync --group bench` installs it")
        return []
    table = []
    for side, hidden, batch in SIZES:
        x, shape = images(side, 2), (1, side, side)
        torch.manual_seed(0)
        ours = VAE(VAEConfig(latent=LATENT, hidden=hidden, learning_rate=RATE), Event(shape, 2)).to(device)
        theirs = peer.pythae_vae(shape, hidden, LATENT).to(device)
        sizes = [sum(p.numel() for p in model.parameters()) for model in (ours, theirs)]
        assert sizes[0] == sizes[1], f"unequal sizes: {sizes}"
        size = f"{side}x{side}, hidden {hidden[0]}"
        rivals = {"pythae": peer.training(theirs, x, batch, EPOCHS, RATE)}
        trained = race(f"vae train {size}, batch {batch}", training(ours, x, batch), rivals, device, runs=RUNS)
        table += per_second(trained, EPOCHS * len(x) // batch, "steps/s")
        if batch != BATCH:
            continue  # sampling is timed once
        ours.eval()
        sample, means = torch.no_grad()(partial(ours.sample, SAMPLES)), peer.sampling(theirs, SAMPLES)
        drawn = race(f"vae sample {size}", sample, {"pythae, means": means}, device)
        table += per_second(drawn, SAMPLES, "samples/s")
    return table


def gan_training(device: torch.device) -> list[Row]:
    """The GAN's players against a plain loop."""
    x = images(8, 17)
    torch.manual_seed(0)
    ours, plain = (GAN(GANConfig(width=32, learning_rate=2e-4), DIGITS).to(device) for _ in range(2))
    rivals = {"plain loop": plain_training(plain, x)}
    return per_second(
        race("gan train", training(ours, x), rivals, device, runs=RUNS), EPOCHS * len(x) // BATCH, "steps/s"
    )


def sampling(device: torch.device) -> list[Row]:
    """Each family's `sample` against the passes of its network."""
    torch.manual_seed(0)
    vae = VAE(VAEConfig(latent=LATENT, hidden=HIDDEN), DIGITS)
    autoencoder = Autoencoder(AutoencoderConfig(latent=LATENT, hidden=HIDDEN), DIGITS)
    gan = GAN(GANConfig(), DIGITS)
    progressive = ProgressiveGAN(ProgressiveGANConfig(), DIGITS)
    ddpm = Diffusion(DiffusionConfig(timesteps=50), DIGITS)
    ddim = Diffusion(DiffusionConfig(timesteps=50, sampler="ddim", sampler_steps=10), DIGITS)
    code = partial(torch.randn, SAMPLES, device=device)
    t = torch.full((SAMPLES,), 25, device=device)

    def passes(diffusion: Diffusion) -> Callable[[], None]:
        x = torch.randn(SAMPLES, *DIGITS.shape, device=device)

        def call() -> None:
            for _ in range(diffusion.sampling_passes):
                diffusion._output(x, t, None)

        return call

    cases: dict[str, tuple[Family, Callable[[], object]]] = {
        "vae": (vae, lambda: vae.decoder(code(LATENT), None)),
        "autoencoder": (autoencoder, lambda: autoencoder.decoder(code(LATENT), None)),
        "gan": (gan, lambda: gan.generator(code(gan.config.latent))),
        "progressive_gan": (
            progressive,
            lambda: progressive.generator(code(progressive.config.latent), progressive.growth()),
        ),
        "diffusion, 50 steps": (ddpm, passes(ddpm)),
        "diffusion, DDIM, 10 steps": (ddim, passes(ddim)),
    }
    table = []
    for name, (family, network) in cases.items():
        family.to(device).eval()
        others = {"its network alone": torch.no_grad()(network)}
        timed = race(f"{name} sample", torch.no_grad()(partial(family.sample, SAMPLES)), others, device, runs=RUNS)
        table += per_second(timed, SAMPLES, "samples/s")
    return table


def main() -> None:
    device = pick_device()
    publish("latent", [*vae_cases(device), *gan_training(device), *sampling(device)])


if __name__ == "__main__":
    main()
