"""Finished models on disk: weights as safetensors, their configuration as JSON, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from models.catalogue import build, family_class, module_of
from models.classifier import Classifier
from models.contract import Event, Family
from models.principal import PrincipalComponents

from ..data.prepared import Prepared
from ..errors import UserError
from ..files import file_digest, read_json, replacing, write_json
from ..identity import code_digest
from ..params.entry import Entry
from ..params.schema import Classifier as ClassifierSettings

WEIGHTS, CONFIG, METRICS, COST = "model.safetensors", "config.json", "metrics.json", "cost.json"
FEATURES: dict[str, type[Classifier | PrincipalComponents]] = {
    each.kind: each for each in (Classifier, PrincipalComponents)
}


def write_model(folder: Path, weights: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    """Write model.safetensors and config.json."""
    with replacing(folder / WEIGHTS) as temporary:
        save_file({key: value.cpu().contiguous() for key, value in weights.items()}, temporary)
    write_json(folder / CONFIG, config)


def family_config(entry: Entry, data: Prepared, **more: Any) -> dict[str, Any]:
    """The content of a family's config.json: all that is needed to build it again, and where it came from."""
    built = {"entry": entry.name, "model": entry.model, "config": asdict(entry.config), "event": asdict(data.event)}
    return {
        **built,
        "data": data.meaning,
        "data_digest": data.digest,
        "code_digest": code_digest(f"models.{module_of(entry.model)}"),
        "seed": entry.seed,
        **more,
    }


def classifier_config(settings: ClassifierSettings) -> dict[str, Any]:
    """The arguments that build the classifier."""
    return {key: getattr(settings, key) for key in ("width", "feature_dimensions", "learning_rate")}


def parameter_count(module: nn.Module) -> int:
    """How many numbers are trained."""
    return sum(parameter.numel() for parameter in module.parameters())


# What it cost: apart from metrics.json, which is the same on every machine of a kind


def write_cost(folder: Path, weights: str, measured: Mapping[str, Any], run: str | None = None) -> None:
    """Write cost.json: seconds, speeds and memory of the model whose weights have this digest.

    `run` is the tracking run that has them, too.
    """
    write_json(folder / COST, {"weights": weights, "run": run, **measured})


def cost_of(folder: Path, weights: str) -> dict[str, Any]:
    """What cost.json says of the model whose weights have this digest; nothing where it is of another one, or absent.

    DVC restores models without what they cost: that is a matter of the machine, and no output of a stage.
    """
    if not (folder / COST).is_file():
        return {}
    measured = dict(read_json(folder / COST))
    measured.pop("run", None)
    return measured if measured.pop("weights", None) == weights else {}


def weights_digest(folder: Path) -> str:
    """The digest of the weights in a folder. Raises `UserError` where there are none."""
    path = folder / WEIGHTS
    if not path.is_file():
        raise UserError(f"{path}: there is no such file; run `dvc repro` to make it")
    return file_digest(path)


# Reading


def load_family(folder: Path) -> Family:
    """The finished family of a folder, ready to use."""
    config = read_json(folder / CONFIG)
    settings = family_class(config["model"]).Config(**config["config"])
    family = build(config["model"], settings, Event.of(config["event"]))
    _load_weights(family, folder)
    return family


def load_features(folder: Path) -> Classifier | PrincipalComponents:
    """What the `features` stage made: the module in whose features samples are measured."""
    config = read_json(folder / CONFIG)
    features = FEATURES[config["kind"]](Event.of(config["event"]), **config["config"])
    _load_weights(features, folder)
    return features


def features_name(folder: Path) -> str:
    """What distances in the features of that module are called after: only those of one name are comparable."""
    return f"{read_json(folder / CONFIG)['kind']}:{weights_digest(folder)[:12]}"


def _load_weights(module: nn.Module, folder: Path) -> None:
    path = folder / WEIGHTS
    try:
        module.load_state_dict(load_file(path))
    except (FileNotFoundError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path}: is missing or damaged ({reason}); run `dvc repro` to make it again") from None
    module.eval()
