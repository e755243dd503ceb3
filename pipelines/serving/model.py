"""The script inside every registered model: MLflow runs it where the model is loaded, without this repository.

A registered model carries its weights, its configuration and a copy of the package `models`. The copy is imported
under a name made of its content, so it meets neither a package of the consumer called `models` nor the code of
another registered model. Nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import torch
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from safetensors.torch import load_file
from torch import Tensor

# The parameters of `predict`. An empty `labels` means none: MLflow lets an array be empty, but not null.
DEFAULTS: dict[str, Any] = {
    "task": "sample",
    "n": 16,
    "seed": 0,
    "temperature": 1.0,
    "labels": [],
    "balanced": False,  # all classes alike, where no labels are given
    "where": [],  # conditions on rows of a table: age>=65
}
ROWS = 1024  # how many examples are computed at once
REDRAWN = 1000  # times that a completion is drawn again which has a gap
MOST_DRAWN = 1_000_000  # rows of a table, of which those that fulfil conditions are kept


class ServedModel(PythonModel):
    """A trained family behind `predict(data, params={"task": …})`; the model card describes the tasks."""

    def load_context(self, context: PythonModelContext) -> None:
        """Called by MLflow with the paths of what the model carries."""
        self.load(context.artifacts)

    def load(self, artifacts: Mapping[str, str]) -> None:
        """Build the family from the folder `code` and the file `config`, and load the file `weights`."""
        self.device = torch.device(os.environ.get("MLFLOW_DEFAULT_PREDICTION_DEVICE", "cpu"))
        config = json.loads(Path(artifacts["config"]).read_text(encoding="utf-8"))
        package = load_package(Path(artifacts["code"]))
        catalogue = importlib.import_module(".catalogue", package.__name__)
        contract = importlib.import_module(".contract", package.__name__)
        options: Any = catalogue.family_class(config["model"]).Config
        values = options(**config["config"])
        self.event = contract.Event.of(config["event"])
        self.family = catalogue.build(config["model"], values, self.event)
        self.family.load_state_dict(load_file(artifacts["weights"]), strict=True)
        self.family.to(self.device).eval()
        self.data: dict[str, Any] = config.get("data") or {}
        self.types: dict[str, dict[str, Any]] = {}
        if self.data.get("types") and "rows" in artifacts:
            self.rows = load_package(Path(artifacts["rows"]))
            self.typed, self.conditions = (
                importlib.import_module(f".{name}", self.rows.__name__) for name in ("typed_rows", "row_conditions")
            )
            self.types = dict(zip(self.data["columns"], self.data["types"], strict=True))
        self.tasks: dict[str, Callable[[Any, dict[str, Any]], Any]] = {"sample": self._sample}
        if isinstance(self.family, contract.Density):
            self.tasks["log_prob"] = self._log_prob
        if isinstance(self.family, contract.Latent):
            self.tasks |= {"encode": self._encode, "decode": self._decode}
        if isinstance(self.family, contract.Completion):
            self.tasks["complete"] = self._complete

    # MLflow reads the hint of `model_input` and warns about unions: lists and DataFrames are welcome too.
    def predict(
        self, context: PythonModelContext, model_input: np.ndarray, params: dict[str, Any] | None = None
    ) -> np.ndarray | pd.DataFrame:
        """Called by MLflow with data that suit the task named in `params`."""
        return self.answer(model_input, params or {})

    def answer(self, data: Any, params: Mapping[str, Any]) -> np.ndarray | pd.DataFrame:
        """Do the task named in `params`; a ValueError says in one line what is allowed.

        Rows of a table come back as the table that they are part of, with the types that its columns had.
        """
        asked = {**DEFAULTS, **params}
        if asked["task"] not in self.tasks:
            raise ValueError(f"task: {asked['task']!r} is not offered by this model; allowed: {', '.join(self.tasks)}")
        with torch.no_grad():
            made = self.tasks[asked["task"]](data, asked)
        return made.cpu().numpy() if isinstance(made, Tensor) else made

    def _sample(self, ignored: Any, asked: dict[str, Any]) -> Tensor | pd.DataFrame:
        """New examples (n, *event) in the data's units; scoring servers must send some input, which is ignored."""
        n, generator = _whole("n", asked["n"], 1), _generator(asked)
        labels = self._labels(asked, n)
        if asked["balanced"]:
            labels = self._balanced(labels, n)
        if len(asked["where"]):
            return self._sample_where(n, labels, asked)
        if not self.types:
            return self._draw(n, labels, asked, generator)
        return self._sample_rows(n, labels, asked, generator)

    def _sample_rows(
        self, n: int, labels: Tensor | None, asked: dict[str, Any], generator: torch.Generator
    ) -> pd.DataFrame:
        """New rows of a table, with their label if the model has any."""
        if self.family.classes and labels is None:
            shares = torch.tensor(self.family.label_shares, dtype=torch.float64)
            labels = torch.multinomial(shares, n, replacement=True, generator=generator).to(self.device)
        return self._table(self._draw(n, labels, asked, generator), labels, int(asked["seed"]))

    def _sample_where(self, n: int, labels: Tensor | None, asked: dict[str, Any]) -> pd.DataFrame:
        """New rows that fulfil conditions: drawn until there are enough, which is exact for every family."""
        if not self.types:
            raise ValueError("where: this model knows no columns with types: leave it out")
        if labels is not None and len(labels.unique()) > 1:
            raise ValueError("where: give one label, or none")
        conditions = self.conditions.parse(list(asked["where"]), self._types_and_label())
        kept: list[pd.DataFrame] = []
        drawn, found, generator = 0, 0, _generator(asked)
        while found < n:
            if drawn >= MOST_DRAWN and found < n * drawn / (100 * MOST_DRAWN):
                raise ValueError(
                    f"where: {found} of {drawn:,} rows fulfil {', '.join(asked['where'])}: too few to draw"
                )
            size = min(ROWS * 16, max(ROWS, n))
            frame = self._sample_rows(size, None if labels is None else labels[:1].expand(size), asked, generator)
            right = np.all([condition.holds(frame) for condition in conditions], axis=0)
            kept.append(frame[right])
            drawn, found = drawn + size, found + int(right.sum())
        return pd.concat(kept, ignore_index=True)[:n]

    def _types_and_label(self) -> dict[str, dict[str, Any]]:
        names = self.data.get("class_names") or []
        label = {"kind": "category", "dtype": "str", "values": names, "gaps": False}
        return {**self.types, **({self.data["label"]: label} if self.family.classes else {})}

    def _table(self, x: Tensor, labels: Tensor | None, seed: int) -> pd.DataFrame:
        """Rows (n, D) as the table that they stand for; pooled names are drawn by the seed."""
        frame: pd.DataFrame = self.typed.decode_rows(x.cpu().numpy(), list(self.types), list(self.types.values()), seed)
        if self.family.classes and labels is not None and self.data.get("label"):
            frame[self.data["label"]] = np.array(self.data["class_names"], dtype=object)[labels.cpu().numpy()]
        return frame

    def _draw(self, n: int, labels: Tensor | None, asked: dict[str, Any], generator: torch.Generator) -> Tensor:
        """New examples (n, *event), some at a time."""
        temperature = _temperature(asked)
        parts = []
        for start in range(0, n, ROWS):
            rows = min(ROWS, n - start)
            chosen = None if labels is None else labels[start : start + rows]
            parts.append(self.family.sample(rows, chosen, temperature, generator))
        return torch.cat(parts)

    def _log_prob(self, data: Any, asked: dict[str, Any]) -> Tensor:
        """Log-likelihoods (N,) in nats; bounds draw their noise with the seed."""
        generator = _generator(asked)
        return self._by_rows(self._events(data), asked, lambda x, labels: self.family.log_prob(x, labels, generator))

    def _encode(self, data: Any, asked: dict[str, Any]) -> Tensor:
        """Codes (N, L) of examples."""
        return self._by_rows(self._events(data), asked, self.family.encode)

    def _decode(self, data: Any, asked: dict[str, Any]) -> Tensor:
        """Expected examples (N, *event), as floats, of codes (N, L)."""
        values, width = _numbers(data), self._code_length()
        if values.ndim != 2 or values.shape[1] != width or len(values) == 0:
            raise ValueError(f"data: shape {values.shape} is not allowed: codes have the shape (N, {width}), N > 0")
        codes = torch.from_numpy(values.astype(np.float32))
        return self._by_rows(codes, asked, self.family.decode)

    def _complete(self, data: Any, asked: dict[str, Any]) -> Tensor | pd.DataFrame:
        """Examples (N, *event), of which numbers that are NaN or None are drawn and all others kept.

        Rows of a table in which a gap was drawn are drawn again: what is asked for is a value.
        """
        values = self._encoded(data, gaps=True) if self._is_table(data) else self._shaped(_numbers(data, missing=True))
        if np.isinf(values).any():
            raise ValueError("data: infinite values are not allowed; NaN stands for what is missing")
        known = ~np.isnan(values)
        x = self._in_units(np.where(known, values, 0))
        temperature, generator = _temperature(asked), _generator(asked)

        def complete(part: Tensor, labels: Tensor | None, flags: Tensor) -> Tensor:
            made: Tensor = self.family.complete(part, flags, labels, temperature, generator)
            for _ in range(REDRAWN):
                holed = made.flatten(1).isnan().any(1)
                if not holed.any():
                    return made
                given = None if labels is None else labels[holed]
                made[holed] = self.family.complete(part[holed], flags[holed], given, temperature, generator)
            raise ValueError(f"data: the model has hardly a value for what {int(holed.sum())} rows lack, but gaps")

        made = self._by_rows(x, asked, complete, torch.from_numpy(known))
        return self._table(made, None, int(asked["seed"])) if self._is_table(data) else made

    def _is_table(self, data: Any) -> bool:
        """Are there rows of a table, by the names of its columns?"""
        return bool(self.types) and isinstance(data, pd.DataFrame) and set(data.columns) >= set(self.types)

    def _encoded(self, data: pd.DataFrame, gaps: bool = False) -> np.ndarray:
        """Rows of a table as numbers (N, D), its columns found by their names; `gaps` may be anywhere, or by type."""
        kinds = [{**kind, "gaps": kind["gaps"] or gaps} for kind in self.types.values()]
        rows: np.ndarray = self.typed.encode_rows(data, list(self.types), kinds)
        return rows

    def _by_rows(self, x: Tensor, asked: dict[str, Any], function: Callable[..., Tensor], *more: Tensor) -> Tensor:
        """The function of rows, their labels and `more` about each, computed on at most ROWS rows at once."""
        labels = self._labels(asked, len(x))
        parts = []
        for start in range(0, len(x), ROWS):
            chosen = None if labels is None else labels[start : start + ROWS]
            rows = [each[start : start + ROWS].to(self.device) for each in (x, *more)]
            parts.append(function(rows[0], chosen, *rows[1:]))
        return torch.cat(parts)

    def _events(self, data: Any) -> Tensor:
        """Examples (N, *event) from (N, *event) or (N, D): uint8 for integer events, float32 for vectors.

        Rows of a table are a DataFrame; as numbers they may have NaN for gaps.
        """
        if self._is_table(data):
            return self._in_units(self._encoded(data))
        values = self._shaped(_numbers(data))
        if self.event.kind == "table":
            raise ValueError(f"data: must be a DataFrame with the columns {', '.join(self.types)}")
        if not np.isfinite(values).all():
            raise ValueError("data: NaN and infinite values are not allowed")
        return self._in_units(values)

    def _shaped(self, values: np.ndarray) -> np.ndarray:
        """Numbers (N, *event) from (N, *event) or (N, D)."""
        shape, flat = self.event.shape, (self.event.dimensions,)
        if len(values) == 0 or values.shape[1:] not in (shape, flat):
            allowed = " or ".join(dict.fromkeys(str(("N", *kind)).replace("'", "") for kind in (shape, flat)))
            raise ValueError(f"data: shape {values.shape} is not allowed: examples have the shape {allowed}, N > 0")
        return values.reshape(-1, *shape)

    def _in_units(self, values: np.ndarray) -> Tensor:
        """Finite numbers in the dtype of the data; those of integer events must be levels."""
        if self.event.levels is None:
            return torch.from_numpy(values.astype(np.float32))
        top = self.event.levels - 1
        if (values != np.round(values)).any() or values.min() < 0 or values.max() > top:
            raise ValueError(
                f"data: values from {values.min()} to {values.max()} are not allowed: must be integers 0 … {top}"
            )
        return torch.from_numpy(values.astype(np.uint8))

    def _labels(self, asked: dict[str, Any], rows: int) -> Tensor | None:
        """The labels (rows,), or None if there are none; a single label stands for every row."""
        given = asked["labels"]
        if given is None or len(given) == 0:
            return None
        classes = self.family.classes
        if not classes:
            raise ValueError("labels: this model is unconditional: leave them out")
        labels = torch.as_tensor(np.asarray(given))
        if labels.is_floating_point() or labels.min() < 0 or labels.max() >= classes:
            raise ValueError(f"labels: {list(given)} is not allowed: must be integers 0 … {classes - 1}")
        if len(labels) not in (1, rows):
            raise ValueError(f"labels: {len(labels)} labels for {rows} rows: give one for each row, or a single one")
        return labels.long().expand(rows).to(self.device)

    def _balanced(self, labels: Tensor | None, n: int) -> Tensor:
        """As many of each class, in turn."""
        if labels is not None or not self.family.classes:
            why = "labels are given" if labels is not None else "this model is unconditional"
            raise ValueError(f"balanced: {why}: leave it out")
        return torch.arange(n, device=self.device) % self.family.classes

    def _code_length(self) -> int:
        """L, found by encoding one example of zeros."""
        dtype = torch.float32 if self.event.levels is None else torch.uint8
        x = torch.zeros(1, *self.event.shape, dtype=dtype, device=self.device)
        labels = torch.zeros(1, dtype=torch.long, device=self.device) if self.family.classes else None
        return int(self.family.encode(x, labels).shape[1])


def load_package(folder: Path) -> ModuleType:
    """Import the package in `folder` under a name made of its content, once per process."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()}:{len(content)}:".encode() + content)
    name = f"_genera_models_{digest.hexdigest()[:16]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{folder}: is no Python package")
    package = importlib.util.module_from_spec(spec)
    sys.modules[name] = package
    try:
        spec.loader.exec_module(package)
    except BaseException:
        del sys.modules[name]
        raise
    return package


def _numbers(data: Any, missing: bool = False) -> np.ndarray:
    """The data as an array of numbers, in which None stands for NaN if some may be `missing`; or a ValueError."""
    if data is None:
        raise ValueError("data: this task needs some: an array, a list or a DataFrame")
    try:
        values = data.to_numpy() if isinstance(data, pd.DataFrame) else np.asarray(data)
        if missing and values.dtype == object:
            values = np.asarray(np.where(pd.isna(values), np.nan, values).tolist())
    except ValueError:
        raise ValueError("data: rows of different lengths are not allowed") from None
    if values.dtype.kind not in "buif" or values.ndim == 0:
        raise ValueError(f"data: {values.dtype} is not allowed: must be an array of numbers")
    return values


def _temperature(asked: dict[str, Any]) -> float:
    temperature = float(asked["temperature"])
    if not 0 <= temperature < float("inf"):
        raise ValueError(f"temperature: {temperature} is not allowed: must be a number of at least 0")
    return temperature


def _whole(name: str, value: Any, low: int) -> int:
    if int(value) != value or value < low:
        raise ValueError(f"{name}: {value} is not allowed: must be an integer of at least {low}")
    return int(value)


def _generator(asked: dict[str, Any]) -> torch.Generator:
    return torch.Generator().manual_seed(_whole("seed", asked["seed"], 0))


set_model(ServedModel())
