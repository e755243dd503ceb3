"""Models by the names that consumers give them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Protocol

import click


class Model(Protocol):
    """What a loaded model can be asked: see `Answering`, which it carries."""

    tasks: dict[str, Any]
    columns: list[str]
    event: Any
    data: Any
    table: Any

    def answer(self, data: Any, params: dict[str, Any]) -> Any:
        """The whole answer."""

    def parts(self, data: Any, params: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """A part of it after the other."""


def is_uri(model: str) -> bool:
    """Is it `models:/…`, `runs:/…`, or the like?"""
    return re.match(r"[a-z][a-z0-9+.-]*:/", model) is not None


def load(model: str) -> Model:
    """The model at `models:/name@alias`, `runs:/…`, another URI of MLflow, or in a folder that holds an MLmodel."""
    if not is_uri(model):
        folder = Path(model)
        if not (folder / "MLmodel").is_file():
            what = "holds no file MLmodel" if folder.is_dir() else "is no folder"
            raise click.ClickException(
                f"{model}: {what}; a model is models:/name@champion, runs:/…, or a folder that MLflow saved one in"
            )
        model = str(folder.resolve())
    import mlflow
    import mlflow.pyfunc
    from mlflow.exceptions import MlflowException

    try:
        loaded = mlflow.pyfunc.load_model(model).unwrap_python_model()
    except (MlflowException, OSError) as error:
        why = " ".join(str(error).split())
        raise click.ClickException(f"{model}: cannot be loaded from {mlflow.get_tracking_uri()}: {why}") from None
    answering: Model | None = getattr(loaded, "answering", None)
    if answering is None:
        raise click.ClickException(f"{model}: is no model of genera")
    return answering
