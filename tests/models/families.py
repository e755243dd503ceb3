"""Small members of every family, for the tests that go over the whole catalogue."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from models.catalogue import CATALOGUE, build, family_class
from models.contract import Batch, Event, Family, FamilyConfig, UnsuitableEvent
from models.noise import Noise

IMAGE = Event((1, 8, 8), 17, 10)
COLOUR = Event((3, 4, 4), 256, 10)
VECTOR = Event((2,), None, 3)
PALETTE = Event((1, 4, 4), 6, 3, ordered=False)
SEQUENCE = Event((1, 16), 16, 3)
TOKENS = Event((1, 12), 5, 3, ordered=False)
EVENTS = (IMAGE, COLOUR, VECTOR, PALETTE, SEQUENCE)

SMALL: dict[str, dict[str, Any]] = {
    "autoencoder": {"latent": 3, "hidden": [8], "width": 4},
    "denoising_autoencoder": {"latent": 3, "hidden": [8], "width": 4},
    "diffusion": {"timesteps": 5, "width": 4, "levels": 1, "hidden": [8]},
    "gan": {"latent": 4, "width": 4, "hidden": [8]},
    "glow": {"levels": 2, "depth": 2, "width": 6, "hidden": [8]},
    "gmm": {"components": 3, "variance_floor": 0.1},  # or the jitter makes ill-conditioned covariances
    "iaf": {"blocks": 2, "hidden": [8]},
    "made": {"hidden": [12]},
    "maf": {"blocks": 2, "hidden": [8]},
    "nice": {"couplings": 3, "hidden": [8]},
    "pixelcnn": {"layers": 2, "width": 6, "head": 6, "first_kernel": 3},
    "pixelrnn": {"layers": 2, "width": 6, "head": 6, "first_kernel": 3},
    "progressive_gan": {"latent": 4, "width": 4, "phase_steps": 2, "gradient_penalty": 1.0, "drift": 0.1},
    "realnvp": {"couplings": 3, "couplings_per_mask": 2, "width": 4, "residual_blocks": 1, "hidden": [8]},
    "vae": {"latent": 3, "hidden": [8], "width": 4, "importance_samples": 4, "decoder": "gaussian"},
    "wavenet": {"channels": 6, "gate_channels": 5, "skip_channels": 8, "layers": 3},
}


@dataclass(frozen=True)
class Case:
    """A family, its configuration and the event that it is built for."""

    model: str
    event: Event
    options: dict[str, Any] = field(default_factory=dict)

    def config(self) -> FamilyConfig:
        """The small configuration of the family, with the options of the case."""
        return family_class(self.model).Config(**{**SMALL[self.model], **self.options})

    def build(self, jitter: float = 0.2) -> Family:
        """The family after its data-dependent initialisation, its weights moved away from their careful start."""
        torch.manual_seed(0)
        family = build(self.model, self.config(), self.event)
        x, labels = examples(self.event, 64)
        family.initialise(x, labels, torch.Generator().manual_seed(0))
        with torch.no_grad():
            for parameter in family.parameters():
                parameter.add_(jitter * torch.randn_like(parameter))
        return family

    def __str__(self) -> str:
        options = "-".join(f"{key}={value}" for key, value in self.options.items())
        names = "" if self.event.ordered else "-names"
        return f"{self.model}-{self.event.kind}{self.event.shape[0]}{names}-{options}"


def _needed(model: str, event: Event) -> dict[str, Any]:
    """What an event demands of a configuration."""
    if model == "vae" and not event.ordered:
        return {"decoder": "categorical"}
    if model == "made" and event.levels is None:
        return {"output": "gaussian_mixture", "components": 2}
    if model == "gan" and event.kind != "image":
        return {"architecture": "mlp"}
    return {}


def _cases() -> list[Case]:
    cases = []
    for model in sorted(CATALOGUE):
        for event in EVENTS:
            for conditional in (False, True):
                case = Case(model, event, {"conditional": conditional, **_needed(model, event)})
                try:
                    case.build()
                except UnsuitableEvent:
                    continue
                cases.append(case)
    variants = [
        *[
            Case("gmm", IMAGE, {"covariance": shape, "fit": fit})
            for shape in ("diagonal", "low_rank", "full")
            for fit in ("em", "gradient")
        ],
        Case("vae", IMAGE, {"decoder": "bernoulli"}),
        Case("vae", IMAGE, {"decoder": "categorical"}),
        Case("vae", IMAGE, {"variance": 0.1}),
        Case("vae", IMAGE, {"decoder": "discretised_logistic", "posterior": "iaf", "iaf_hidden": [6]}),
        Case("vae", VECTOR, {"posterior": "iaf", "iaf_hidden": [6], "conditional": True}),
        Case("vae", COLOUR, {"architecture": "convolutional", "conditional": True}),
        Case("vae", PALETTE, {"architecture": "convolutional", "decoder": "categorical"}),
        Case("vae", IMAGE, {"decoder": "bernoulli", "training_samples": 3}),
        Case("vae", IMAGE, {"free_bits": 0.5}),
        Case("autoencoder", COLOUR, {"architecture": "convolutional", "loss": "bce", "conditional": True}),
        Case("denoising_autoencoder", IMAGE, {"corruption": "gaussian"}),
        Case("denoising_autoencoder", IMAGE, {"corruption": "salt_and_pepper", "loss": "bce"}),
        Case("diffusion", IMAGE, {"prediction": "v", "sampler": "ddim", "sampler_steps": 3, "bound_steps": 3}),
        Case("diffusion", IMAGE, {"conditional": True, "label_dropout": 0.3, "guidance": 1.0, "schedule": "cosine"}),
        Case("diffusion", VECTOR, {"loss": "bound"}),
        Case("made", IMAGE, {"orders": 2, "connectivities": 2}),
        Case("made", IMAGE, {"output": "logistic_mixture", "components": 2}),
        Case("made", VECTOR, {"orders": 2, "permutation": "reverse", "output": "gaussian_mixture"}),
        Case("pixelcnn", IMAGE, {"stack": "plain"}),
        Case("pixelcnn", COLOUR, {"stack": "plain", "output": "logistic_mixture", "components": 2}),
        Case("pixelrnn", IMAGE, {"recurrence": "row_lstm"}),
        Case("pixelrnn", COLOUR, {"recurrence": "row_lstm", "output": "logistic_mixture", "components": 2}),
        Case("wavenet", SEQUENCE, {"output": "logistic_mixture", "components": 2, "kernel_size": 3}),
        Case("wavenet", SEQUENCE, {"input": "scalar", "output": "gaussian", "conditional": True}),
        Case("wavenet", TOKENS, {}),
        Case("maf", IMAGE, {"permutation": "random"}),
        Case("maf", IMAGE, {"dequantisation": "variational", "conditional": True}),
        Case("maf", VECTOR, {"batch_norm": True, "inversion": "jacobi"}),
        Case("maf", VECTOR, {"mixture_components": 3, "conditional": True}),
        Case("iaf", VECTOR, {"batch_norm": True}),
        Case("iaf", VECTOR, {"mixture_components": 3, "conditional": True}),
        Case("iaf", SEQUENCE, {"network": "causal", "alpha": None, "channels": 4, "layers": 2, "conditional": True}),
        Case("nice", VECTOR, {"prior": "normal"}),
        Case("realnvp", IMAGE, {"batch_norm": False}),
        Case("glow", IMAGE, {"dequantisation": "variational"}),
        Case("iaf", VECTOR, {"permutation": "random"}),
        Case("gan", IMAGE, {"discriminator_steps": 2}),
        Case("progressive_gan", IMAGE, {"loss": "non_saturating", "gradient_penalty": 0.0, "r1": 1.0}),
        Case("gan", IMAGE, {"architecture": "residual", "spectral_norm": True, "loss": "hinge", "conditional": True}),
        Case("gan", IMAGE, {"loss": "wasserstein", "gradient_penalty": 1.0, "conditional": True}),
        Case("gan", IMAGE, {"architecture": "mlp", "r1": 1.0, "instance_noise": 0.1}),
    ]
    return cases + variants


def examples(event: Event, n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Random examples of an event and their labels."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(event.classes, (n,), generator=generator)
    if event.levels is None:
        return torch.randn(n, *event.shape, generator=generator) * 2 + 1, labels
    return torch.randint(event.levels, (n, *event.shape), generator=generator, dtype=torch.uint8), labels


def batch(event: Event, n: int = 16, seed: int = 0) -> Batch:
    """A batch of random examples."""
    x, labels = examples(event, n, seed)
    return Batch(x, labels, Noise(torch.Generator().manual_seed(seed), n))


CASES = _cases()
