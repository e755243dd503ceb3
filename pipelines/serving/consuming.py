"""What `genera sample` does: draws from a finished model, and writes what comes in the format of the data."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..errors import UserError
from ..files import replacing

if TYPE_CHECKING:
    from .model import ServedModel

SUFFIXES = (".csv", ".csv.gz", ".parquet", ".npy")


def sample(model: str, out: Path | None, params: dict[str, Any]) -> None:
    """Draw examples and write them to a file, or rows of a table to the terminal.

    `model` is an entry of the project in the current folder, or a model of the registry: `models:/name@champion`.
    """
    if out is not None and not out.name.lower().endswith(SUFFIXES):
        raise UserError(f"--out: {out}: must end with one of {', '.join(SUFFIXES)}")
    try:
        made = _load(model).answer(None, {"task": "sample", **params})
    except ValueError as error:
        raise UserError(f"genera sample: {error}") from None
    if out is None:
        if not isinstance(made, pd.DataFrame):
            raise UserError(f"--out: is missing: samples of shape {made.shape[1:]} are written to a .npy file")
        print(made.to_csv(index=False), end="")
        return
    _write(made, out)
    what = (
        f"{len(made):,} rows of {made.shape[1]} columns" if isinstance(made, pd.DataFrame) else f"{len(made):,} samples"
    )
    print(f"sample: {what} in {out}")


def _load(model: str) -> ServedModel:
    """The model as its consumers load it; a UserError where there is none of that name."""
    if model.startswith(("models:/", "runs:/")):
        import mlflow.pyfunc
        from mlflow.exceptions import MlflowException

        from ..tracking.store import reason

        try:
            served: ServedModel = mlflow.pyfunc.load_model(model).unwrap_python_model()
        except (MlflowException, OSError) as error:
            raise UserError(f"{model}: cannot be loaded: {reason(error, mlflow.get_registry_uri())}") from None
        return served
    from ..params.project import Project
    from ..tracking.registry import load_finished

    project = Project.here()
    if model not in project.entries:
        allowed = ", ".join(project.entries)
        raise UserError(
            f"{model}: must be an entry of params.yaml ({allowed}), or a model such as models:/name@champion"
        )
    return load_finished(project.made(project.entries[model]))


def _write(made: np.ndarray | pd.DataFrame, out: Path) -> None:
    """Write to a file, whole or not at all."""
    name = out.name.lower()
    if isinstance(made, np.ndarray) != name.endswith(".npy"):
        needed = ".npy" if isinstance(made, np.ndarray) else ".csv or .parquet"
        raise UserError(f"--out: {out}: must end with {needed}")
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as temporary:
        if isinstance(made, np.ndarray):
            content = io.BytesIO()
            np.save(content, made)
            temporary.write_bytes(content.getvalue())
        elif name.endswith(".parquet"):
            made.to_parquet(temporary, index=False)
        else:
            made.to_csv(temporary, index=False, compression="gzip" if name.endswith(".gz") else None)
