"""The VAE of benchmarks/latent.py in pythae: the same network, trained by pythae's trainer and sampled by its sampler.

pythae asks for one example after the other and collates them, keeps a copy of the whole model whenever an epoch was
the best, and reports progress by a bar, which nobody sees here.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.samplers import NormalSampler
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from torch import Tensor, nn


def mlp(widths: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.SiLU()]
    return nn.Sequential(*layers[:-1])


class Encoder(BaseEncoder):
    """x (N, 1, H, W) → mean and log variance (N, L)."""

    def __init__(self, dimensions: int, hidden: Sequence[int], latent: int) -> None:
        super().__init__()
        self.layers = mlp([dimensions, *hidden, 2 * latent])

    def forward(self, x: Tensor) -> ModelOutput:
        mean, log_variance = self.layers(x.flatten(1)).chunk(2, 1)
        return ModelOutput(embedding=mean, log_covariance=log_variance)


class Decoder(BaseDecoder):
    """z (N, L) → the probabilities of white pixels (N, 1, H, W)."""

    def __init__(self, shape: tuple[int, ...], hidden: Sequence[int], latent: int) -> None:
        super().__init__()
        self.shape = shape
        self.layers = mlp([latent, *reversed(hidden), shape[1] * shape[2]])

    def forward(self, z: Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=self.layers(z).sigmoid().unflatten(1, self.shape))


def pythae_vae(shape: tuple[int, ...], hidden: Sequence[int], latent: int) -> VAE:
    """A VAE of black and white images."""
    config = VAEConfig(input_dim=shape, latent_dim=latent, reconstruction_loss="bce")
    return VAE(config, Encoder(shape[1] * shape[2], hidden, latent), Decoder(shape, hidden, latent))


def training(vae: VAE, x: Tensor, batch_size: int, epochs: int, learning_rate: float) -> Callable[[], None]:
    """A whole training: some epochs of batches of x (N, 1, H, W), N being a multiple of the batch size."""
    data = BaseDataset(x.float(), torch.zeros(len(x)))

    def train() -> None:
        nowhere = io.StringIO()
        logging.disable(logging.WARNING)
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(nowhere):
            config = BaseTrainerConfig(
                output_dir=folder,
                per_device_train_batch_size=batch_size,
                num_epochs=epochs,
                optimizer_cls="AdamW",
                optimizer_params={"weight_decay": 0.0},
                learning_rate=learning_rate,
                keep_best_on_train=True,
            )
            BaseTrainer(vae, data, training_config=config).train()
        logging.disable(logging.NOTSET)

    return train


def sampling(vae: VAE, n: int) -> Callable[[], Tensor]:
    """The means of n samples: pythae draws no pixels."""
    sampler = NormalSampler(vae)
    return torch.no_grad()(lambda: sampler.sample(n, batch_size=n))
