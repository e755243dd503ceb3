"""Finished models on disk: weights as safetensors, their configuration as JSON, and how they came to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.catalogue import build, family_class
from models.classifier import Classifier
from models.contract import Event, Family
from models.principal import PrincipalComponents

from ..data.prepared import Prepared
from ..errors import UserError
from ..files import file_digest, read_json, replacing, write_json, write_text
from ..identity import family_digest
from ..params.schema import Classifier as ClassifierSettings
from ..training import checkpoint
from ..training.task import State

FEATURES: dict[str, type[Classifier | PrincipalComponents]] = {
    each.kind: each for each in (Classifier, PrincipalComponents)
}


def outcome(folder: Path) -> tuple[dict[str, Tensor], State]:
    """The best weights and the final state of a finished training."""
    found = checkpoint.load(folder)
    if found is None:
        raise UserError(f"{folder}: there is no readable checkpoint; run the stage again")
    groups, rest = found
    return groups["best"], State(**rest["state"])


def write_model(folder: Path, weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    """Write model.safetensors and config.json."""
    with replacing(folder / "model.safetensors") as temporary:
        save_file({key: value.cpu().contiguous() for key, value in weights.items()}, temporary)
    write_json(folder / "config.json", config)


def write_history(path: Path, history: list[dict[str, float]]) -> None:
    """Write the validations of a training, one row each."""
    write_text(path, pd.DataFrame(history).to_csv(index=False))


def family_config(entry: str, model: str, config: Any, data: Prepared, seed: int, **more: Any) -> dict[str, Any]:
    """The content of a family's config.json: all that is needed to build it again, and where it came from."""
    built = {"entry": entry, "model": model, "config": asdict(config), "event": asdict(data.event)}
    return {
        **built,
        "data": data.meaning,
        "data_digest": data.digest,
        "code_digest": family_digest(model),
        "seed": seed,
        **more,
    }


def classifier_config(settings: ClassifierSettings) -> dict[str, Any]:
    """The arguments that build the classifier."""
    return {key: getattr(settings, key) for key in ("width", "feature_dimensions", "learning_rate")}


def parameter_count(module: nn.Module) -> int:
    """How many numbers are trained."""
    return sum(parameter.numel() for parameter in module.parameters())


def load_family(folder: Path) -> Family:
    """The finished family of a folder, ready to use."""
    config = read_json(folder / "config.json")
    settings = family_class(config["model"]).Config(**config["config"])
    family = build(config["model"], settings, Event.of(config["event"]))
    _load_weights(family, folder)
    return family


def load_features(folder: Path) -> Classifier | PrincipalComponents:
    """What the `features` stage made: the module in whose features samples are measured."""
    config = read_json(folder / "config.json")
    features = FEATURES[config["kind"]](Event.of(config["event"]), **config["config"])
    _load_weights(features, folder)
    return features


def features_name(folder: Path) -> str:
    """What distances in the features of that module are called after: only those of one name are comparable."""
    kind, digest = read_json(folder / "config.json")["kind"], file_digest(folder / "model.safetensors")
    return f"{kind}:{digest[:12]}"


def _load_weights(module: nn.Module, folder: Path) -> None:
    path = folder / "model.safetensors"
    try:
        module.load_state_dict(load_file(path))
    except (FileNotFoundError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: is missing or damaged ({reason}); run `dvc repro` to make it again") from None
    module.eval()
