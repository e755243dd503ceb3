"""Finished models of toy families in a copy of the models' contract, and how they are registered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from pipelines.tracking.champion import Decision, Rules
from pipelines.tracking.registry import Offer, register
from pipelines.tracking.store import Store

TOY = '''
"""Independent normal numbers around learned means: every capability in a few lines."""
from __future__ import annotations

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from .contract import STRICT, Batch, Completion, Density, Event, Family, FamilyConfig, Latent, Player
from .noise import normal_rows


@dataclass(frozen=True, config=STRICT)
class ToyConfig(FamilyConfig):
    width: float = 1.0
    """Standard deviation."""


class Plain(Family):
    Config = ToyConfig
    parallel_sampling = True
    sampling_passes = 1

    def __init__(self, config: ToyConfig, event: Event) -> None:
        super().__init__(config, event)
        self.mean = nn.Parameter(torch.zeros(max(self.classes, 1), event.dimensions))

    def players(self) -> list[Player]:
        return []

    def sample(self, n, labels=None, temperature=1.0, generator=None) -> Tensor:
        noise = normal_rows(n, self.event.dimensions, generator).float() * temperature * self.config.width
        return self.decode(noise, labels).round().clamp(0, self.event.levels - 1).to(torch.uint8)

    def _means(self, labels: Tensor | None) -> Tensor:
        return self.mean[:1] if labels is None else self.mean[labels]

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        return x.flatten(1).float() - self._means(labels)

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return (z + self._means(labels)).reshape(-1, *self.event.shape)


class Toy(Plain, Density, Latent, Completion):
    bound = None
    scoring_passes = 1

    def complete(self, x, known, labels=None, temperature=1.0, generator=None) -> Tensor:
        return torch.where(known, x, self.sample(len(x), labels, temperature, generator))

    def completes_exactly(self, known: Tensor) -> bool:
        return True

    def log_likelihood(self, batch: Batch) -> Tensor:
        means = self._means(batch.labels)
        return torch.distributions.Normal(means, self.config.width).log_prob(batch.x.flatten(1).float()).sum(1)
'''


def save(folder: Path, model: str = "toy", mean: float = 0.0, conditional: bool = True) -> Path:
    """The output of a training: weights and configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = torch.arange(3.0)[:, None] if conditional else torch.zeros(1, 1)
    save_file({"mean": (rows + mean).expand(-1, 4).contiguous()}, folder / "model.safetensors")
    config = {"conditional": conditional, "width": 1.5}
    event = {"shape": [1, 2, 2], "levels": 5, "classes": 3}
    (folder / "config.json").write_text(json.dumps({"entry": "toy", "model": model, "config": config, "event": event}))
    return folder


def enter(
    root: Path,
    code: Path,
    mean: float,
    objective: float | None,
    tags: Mapping[str, str] | None = None,
    rules: Rules | None = None,
    offer: Offer | None = None,
    **more: Any,
) -> Decision:
    """Register a toy with this mean and these measurements as an entry `toy` of the project `genera`."""
    folder = save(root / "model", mean=mean)
    metrics = {"objective": objective, "objective_name": "nll", "fid": None, **more}
    given = {"data_digest": "d", **(tags or {})}
    offered = replace(offer or Offer(), code=code)
    return register(root, "genera", "toy", folder, metrics, rules or Rules(0.1), given, offered)


def champion(store: Store) -> int:
    return int(store.client.get_model_version_by_alias("genera-toy", "champion").version)
