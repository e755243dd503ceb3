"""Checkpoints: the whole state of a training in one safetensors file, written atomically, two of them kept.

Tensors are stored under `<group>/<name>`; everything else is JSON in the file's header. Nothing in it can run code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.optim import Optimizer

from ..files import replacing

KEPT = 2  # the one before the last survives, in case the last is damaged

Groups = dict[str, dict[str, Tensor]]


def save(folder: Path, step: int, groups: Mapping[str, Mapping[str, Tensor]], rest: Any) -> Path:
    """Write the checkpoint of a step, then remove those that are too old."""
    tensors = {
        f"{group}/{name}": t.detach().contiguous().clone()
        for group, named in groups.items()
        for name, t in named.items()
    }
    path = folder / f"step-{step:010d}.safetensors"
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata={"state": json.dumps(rest)})
    for old in _all(folder)[KEPT:]:
        old.unlink()
    return path


def load(folder: Path, device: str = "cpu") -> tuple[Groups, Any] | None:
    """The newest readable checkpoint of a folder, or None. A damaged one is named, and the one before is taken."""
    for path in _all(folder):
        try:
            return _read(path, device)
        except (SafetensorError, ValueError, KeyError, TypeError) as error:
            reason = " ".join(str(error).split())
            print(f"warning: {path}: is damaged ({reason}); falling back to the checkpoint before it", flush=True)
    return None


def of_optimiser(optimiser: Optimizer) -> tuple[dict[str, Tensor], Any]:
    """The tensors of an optimiser by `<parameter>/<name>`, and the rest of its state."""
    saved = optimiser.state_dict()
    tensors = {f"{index}/{key}": value for index, values in saved["state"].items() for key, value in values.items()}
    return tensors, saved["param_groups"]


def to_optimiser(optimiser: Optimizer, tensors: Mapping[str, Tensor], rest: Any) -> None:
    """Give an optimiser the state that `of_optimiser` took from one."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, key = name.split("/")
        state.setdefault(int(index), {})[key] = value
    optimiser.load_state_dict({"state": state, "param_groups": rest})


def _all(folder: Path) -> list[Path]:
    """The checkpoints of a folder, newest first."""
    return sorted(folder.glob("step-*.safetensors"), reverse=True)


def _read(path: Path, device: str) -> tuple[Groups, Any]:
    groups: Groups = {}
    with safe_open(path, framework="pt", device=device) as file:
        rest = json.loads(file.metadata()["state"])
        for key in file.keys():  # noqa: SIM118 -- a safetensors file is no mapping
            group, name = key.split("/", 1)
            groups.setdefault(group, {})[name] = file.get_tensor(key)
    return groups, rest
