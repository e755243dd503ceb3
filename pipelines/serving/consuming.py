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


def check_ending(out: Path | None) -> None:
    """Refuse a file of a format that nothing can be written in, before a model is loaded."""
    if out is not None and not out.name.lower().endswith(SUFFIXES):
        raise UserError(f"--out: {out}: must end with one of {', '.join(SUFFIXES)}")


def sample(model: ServedModel, out: Path | None, params: dict[str, Any]) -> None:
    """Draw examples and write them to a file, or rows of a table to the terminal."""
    try:
        made = model.answer(None, {"task": "sample", **params})
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
