"""The script inside every registered model: MLflow runs it where the model is loaded, without this repository.

A registered model carries its weights, its configuration, the scores of held-out examples, and code: a copy of the
package `models` and of what answers requests (see `carried.py`). The copy is imported under a name made of its content,
so it meets neither a package of the consumer called `models` nor the code of another registered model. Nothing is
unpickled.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import torch
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.models import utils as checking
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from mlflow.types import DataType
from safetensors.torch import load_file

OURS = ("task", "positions", "balanced")  # parameters by which the signature of such a model is known
SERVER = "_MLFLOW_IS_IN_SERVING_ENVIRONMENT"  # set by `mlflow models serve` and `mlflow models predict`


class ServedModel(PythonModel):
    """A trained family behind `predict(data, params={"task": …})`; the model card describes the tasks."""

    def load_context(self, context: PythonModelContext) -> None:
        """Called by MLflow with the paths of what the model carries."""
        self.load({name: Path(path) for name, path in context.artifacts.items()})

    def load(self, paths: Mapping[str, Path]) -> None:
        """Build the family by the folder `code` and the file `config`, with `weights` and, if it is there, `scores`."""
        package = load_package(paths["code"]).__name__
        config = json.loads(paths["config"].read_text(encoding="utf-8"))
        names = ("catalogue", "contract", "noise")
        models = {name: importlib.import_module(f".models.{name}", package) for name in names}
        event = models["contract"].Event.of(config["event"])
        options: Any = models["catalogue"].family_class(config["model"]).Config
        family = models["catalogue"].build(config["model"], options(**config["config"]), event)
        family.load_state_dict(load_file(paths["weights"]), strict=True)
        family.to(torch.device(os.environ.get("MLFLOW_DEFAULT_PREDICTION_DEVICE", "cpu"))).eval()
        self.answers = importlib.import_module(".pipelines.serving.answers.answering", package)
        scores = None
        if "scores" in paths:
            scores = self.answers.Typicality.of(json.loads(paths["scores"].read_text(encoding="utf-8")))
        self.answering = self.answers.Answering(family, models, config, scores)

    # MLflow reads the hint of `model_input` and warns about unions: lists and DataFrames are welcome too.
    def predict(
        self, context: PythonModelContext, model_input: np.ndarray, params: dict[str, Any] | None = None
    ) -> np.ndarray | pd.DataFrame | dict[str, Any]:
        """Called by MLflow with data that suit the task named in `params`.

        What cannot be answered is said in a line, which servers send with the status 400. They send an object with the
        values under the name of the task, and with what `attrs` say in Python.
        """
        served = os.environ.get(SERVER) == "true"
        self.answering.limits = self.answers.Limits.of_server(os.environ) if served else self.answers.Limits()
        try:
            answer = self.answering.answer(model_input, params or {})
        except self.answers.Refusal as refusal:
            raise Refused(str(refusal)) from None
        return self.answers.as_json(answer) if served else answer


class Refused(MlflowException):
    """A line on what is wrong with a request; MLflow's server would write the data of the request before it, too."""

    def __init__(self, line: str) -> None:
        super().__init__(line, INVALID_PARAMETER_VALUE)
        self.line = line

    def serialize_as_json(self) -> str:
        """The body of the answer of the server."""
        return json.dumps({"error_code": self.error_code, "message": self.line})


class Unread(logging.Filter):
    """Refuses parameters that MLflow would leave out with a warning in the log of the server.

    It checks them against the signature before `predict` is called, so nothing else can tell the one who asked.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Raise where the record says that a parameter is ignored."""
        said = str(record.msg)
        if said.startswith("Unrecognized params") and all(f"'{name}'" in said for name in OURS):
            raise Refused(said.replace("are ignored for", "are not allowed in").partition(" To enable")[0])
        return True


def load_package(folder: Path) -> ModuleType:
    """Import the package in `folder` under a name made of its content: once, as long as its files are there."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()}:{len(content)}:".encode() + content)
    name = f"_genera_{digest.hexdigest()[:16]}"
    if name in sys.modules:
        if Path(sys.modules[name].__path__[0]).is_dir():
            return sys.modules[name]
        for each in [each for each in sys.modules if each == name or each.startswith(f"{name}.")]:
            del sys.modules[each]  # what it has not imported yet could not be found any more
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


# `labels` are names or positions, and MLflow gives a parameter one type: whole numbers may stand for their text. Where
# another version of MLflow has no such table, a model still loads, and labels are texts.
conversions = getattr(checking, "_ALLOWED_CONVERSIONS_FOR_PARAMS", {})
conversions.setdefault(DataType.string, (DataType.integer, DataType.long))
CHECKS = logging.getLogger("mlflow.models.utils")
if not any(type(each).__name__ == Unread.__name__ for each in CHECKS.filters):
    CHECKS.addFilter(Unread())
set_model(ServedModel())
