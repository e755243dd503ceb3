"""Every family by its name: one line each.

A family's module, and PyTorch with it, is imported when the family is asked for: to know the names costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from .contract import Event, Family, FamilyConfig

CATALOGUE = {
    "autoencoder": "autoencoder:Autoencoder",
    "denoising_autoencoder": "denoising_autoencoder:DenoisingAutoencoder",
    "diffusion": "diffusion:Diffusion",
    "gan": "gan:GAN",
    "glow": "glow:Glow",
    "gmm": "gmm:GMM",
    "iaf": "iaf:IAF",
    "made": "made:MADE",
    "maf": "maf:MAF",
    "nice": "nice:NICE",
    "nsf": "nsf:NSF",
    "pixelcnn": "pixelcnn:PixelCNN",
    "pixelrnn": "pixelrnn:PixelRNN",
    "progressive_gan": "progressive_gan:ProgressiveGAN",
    "realnvp": "realnvp:RealNVP",
    "vae": "vae:VAE",
    "wavenet": "wavenet:WaveNet",
}


def module_of(model: str) -> str:
    """The name of the module in this package that defines the family called `model`; see `family_class`."""
    return _place(model)[0]


def family_class(model: str) -> type[Family]:
    """The class of the family called `model`; a KeyError names the families there are."""
    module, name = _place(model)
    return cast("type[Family]", getattr(import_module(f".{module}", __package__), name))


def suitable(event: Event) -> list[str]:
    """The names of the families of which some configuration can model the event."""
    return [model for model in sorted(CATALOGUE) if family_class(model).refusal(event) is None]


def build(model: str, config: FamilyConfig, event: Event) -> Family:
    """A new, untrained family of the given configuration for the given event."""
    return family_class(model)(config, event)


def check(model: str, config: FamilyConfig, event: Event) -> Family:
    """The family without its weights; raises `UnsuitableEvent` if the configuration cannot model the event.

    It is built on the meta device, where tensors have shapes and no numbers: so its size costs nothing.
    """
    import torch

    from .contract import UnsuitableEvent

    try:
        with torch.device("meta"):
            return build(model, config, event)
    except (OverflowError, RuntimeError, TypeError) as error:  # what PyTorch says of tensors that cannot be
        raise UnsuitableEvent(f"no such network can be built: {str(error).splitlines()[0]}") from None


def _place(model: str) -> tuple[str, str]:
    """The module and the class of the family called `model`."""
    if model not in CATALOGUE:
        raise KeyError(f"{model!r} is no family of the catalogue; there are: {', '.join(sorted(CATALOGUE))}")
    module, name = CATALOGUE[model].split(":")
    return module, name
