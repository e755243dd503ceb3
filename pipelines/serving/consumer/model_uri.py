"""Models by the names that consumers give them."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any, Protocol

from .mistake import Mistake


class Model(Protocol):
    """What a loaded model can be asked: see `Answering`, which it carries."""

    tasks: dict[str, Any]
    columns: list[str]
    event: Any
    data: Any
    table: Any
    classes: Any

    def answer(self, data: Any, params: dict[str, Any]) -> Any:
        """The whole answer."""

    def parts(self, data: Any, params: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """A part of it after the other."""

    def files(self, x: Any, form: str) -> list[bytes]:
        """Images as PNG, or sounds as WAV."""

    def sound(self, content: bytes) -> Any:
        """The levels (1, 1, T) of a WAV file."""


def must_offer(model: Model, task: str, lack: str) -> None:
    """Refuse a task that the model does not offer; `lack` says so in words."""
    if task not in model.tasks:
        raise Mistake(f"this model {lack}; it offers: {', '.join(model.tasks)}")


def is_uri(model: str) -> bool:
    """Is it `models:/…`, `runs:/…`, or the like?"""
    return re.match(r"[a-z][a-z0-9+.-]*:/", model) is not None


def load(model: str) -> Model:
    """The model at `models:/name@alias`, `runs:/…`, another URI of MLflow, or in a folder that holds an MLmodel."""
    if not is_uri(model):
        folder = Path(model)
        if not (folder / "MLmodel").is_file():
            what = "holds no file MLmodel" if folder.is_dir() else "is no folder"
            raise Mistake(
                f"{model}: {what}; a model is models:/name@champion, runs:/…, or a folder that MLflow saved one in"
            )
        model = str(folder.resolve())
    # A bar of downloads is for a person who looks on: a log would have hundreds of its states.
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", str(sys.stderr.isatty()).lower())
    import mlflow
    import mlflow.pyfunc
    from mlflow.exceptions import MlflowException

    try:
        loaded = mlflow.pyfunc.load_model(model, suppress_warnings=True).unwrap_python_model()
    except (MlflowException, OSError) as error:
        why = " ".join(str(error).split())
        raise Mistake(f"{model}: cannot be loaded from {mlflow.get_tracking_uri()}: {why}") from None
    answering: Model | None = getattr(loaded, "answering", None)
    if answering is None:
        raise Mistake(f"{model}: is no model of genera")
    return answering
