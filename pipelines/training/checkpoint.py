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

from ..storage import Folder

KEPT = 2  # the one before the last survives, in case the last is damaged

Groups = dict[str, dict[str, Tensor]]


def save(folder: Folder, step: int, groups: Mapping[str, Mapping[str, Tensor]], rest: Any) -> None:
    """Write the checkpoint of a step, then remove those that are too old."""
    tensors = {
        f"{group}/{name}": t.detach().contiguous().clone()
        for group, named in groups.items()
        for name, t in named.items()
    }
    with folder.writing(f"step-{step:010d}.safetensors") as temporary:
        save_file(tensors, temporary, metadata={"state": json.dumps(rest)})
    for old in _all(folder)[KEPT:]:
        folder.remove(old)


def load(*folders: Folder) -> tuple[Groups, Any] | None:
    """The newest readable checkpoint of some folders, or None. A damaged one is named, and the one before is taken."""
    found = [(name, folder) for folder in folders for name in _all(folder)]
    for name, folder in sorted(found, key=lambda each: each[0], reverse=True):
        try:
            with folder.reading(name) as path:
                return _read(path)
        except (SafetensorError, FileNotFoundError, ValueError, KeyError, TypeError) as error:
            reason = " ".join(str(error).split())
            print(
                f"warning: {folder / name}: is damaged ({reason}); falling back to the checkpoint before it", flush=True
            )
    return None


def forget(folder: Folder) -> None:
    """Remove the checkpoints of a folder."""
    for name in _all(folder):
        folder.remove(name)


def of_optimiser(optimiser: Optimizer) -> dict[str, Tensor]:
    """The tensors of an optimiser by `<parameter>/<name>`."""
    state = optimiser.state_dict()["state"]
    return {f"{index}/{key}": value for index, values in state.items() for key, value in values.items()}


def to_optimiser(optimiser: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Give an optimiser the tensors that `of_optimiser` took from one; its own learning rate and decays stay."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, key = name.split("/")
        state.setdefault(int(index), {})[key] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def _all(folder: Folder) -> list[str]:
    """The names of the checkpoints of a folder, newest first."""
    return [name for name in reversed(folder.names()) if name.startswith("step-") and name.endswith(".safetensors")]


def _read(path: Path) -> tuple[Groups, Any]:
    groups: Groups = {}
    with safe_open(path, framework="pt") as file:
        rest = json.loads(file.metadata()["state"])
        for key in file.keys():  # noqa: SIM118 -- a safetensors file is no mapping
            group, name = key.split("/", 1)
            groups.setdefault(group, {})[name] = file.get_tensor(key)
    return groups, rest
