"""The lines of Python that give what the page shows: they are true, and tests run them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd

from ..model_uri import is_uri

WRITTEN_OUT = 64  # numbers of an array, beyond which it is read from a file
USUAL: dict[str, Any] = {"n": None, "seed": None, "temperature": 1.0, "labels": [], "where": [], "balanced": False}


@dataclass(frozen=True)
class Loading:
    """The lines that load a model as `model`, and the name of its method that answers."""

    lines: str
    method: str = "predict"

    def call(self, data: str, params: Mapping[str, Any]) -> str:
        """A request; `data` is an expression."""
        return f"model.{self.method}({data}, {'params=' if self.method == 'predict' else ''}{written(params)})"


def loading(name: str, of_entry: str | None) -> Loading:
    """How a model of this name is loaded.

    `of_entry` is the line that imports `load` for what is an entry of a project, and no model that MLflow saved.
    """
    if of_entry is not None and not is_uri(name) and not (Path(name) / "MLmodel").is_file():
        return Loading(f"{of_entry}\n\nmodel = load({name!r})", "answer")
    if not is_uri(name):
        return Loading(f"import mlflow\n\nmodel = mlflow.pyfunc.load_model({str(Path(name).resolve())!r})")
    return Loading(f"import mlflow\n\n{_tracking()}model = mlflow.pyfunc.load_model({name!r})")


def _tracking() -> str:
    """Where models are looked for; an address with a password is not shown."""
    import mlflow

    address = mlflow.get_tracking_uri()
    return "" if urlsplit(address).password else f"mlflow.set_tracking_uri({address!r})\n"


def plain(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that say something: without those that have their usual values."""
    return {name: value for name, value in params.items() if name not in USUAL or value != USUAL[name]}


def written(value: Any) -> str:
    """A value as Python has it."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{written(key)}: {written(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(written, value)) + "]"
    if isinstance(value, np.generic):
        return written(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return "np.nan" if math.isnan(value) else f"float('{value}')"
    return repr(value)


def array(values: np.ndarray, file: str) -> str:
    """A short array written out; a long one, which the page offers as a file, is read from it."""
    if values.size > WRITTEN_OUT:
        return f"np.load({file!r})"
    return f"np.array({written(values.tolist())})"


def frame(rows: pd.DataFrame) -> str:
    """Rows written out."""
    return f"pd.DataFrame({written(rows.astype(object).where(rows.notna(), None).to_dict('records'))})"


def script(load: Loading, *lines: str) -> str:
    """Lines of Python after those that load the model, with the imports that they need."""
    body = "\n".join(lines)
    needed = [
        f"import {module} as {name}" for name, module in (("np", "numpy"), ("pd", "pandas")) if f"{name}." in body
    ]
    head, _, rest = load.lines.partition("\n")
    return "\n".join([head, *needed]) + f"\n{rest}\n{body}"
