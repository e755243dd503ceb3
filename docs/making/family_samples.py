"""Pictures of samples for the pages of the families: `python -m docs.making.family_samples [PROJECT]`.

Each is made of the first samples in `artifacts/evaluate/<entry>/samples.npy` of a project on the embedded digits in
which `make repro` was run, by default this folder. An image is 17 grey levels, so a file has a palette of as many.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .repository_links import DOCS, ROOT

SAMPLES = DOCS / "samples"
ROWS, COLUMNS, ENLARGED, GAP = 3, 12, 5, 1
SHAPE, LEVELS = (1, 8, 8), 17


def sheet(samples: NDArray[np.uint8]) -> Image.Image:
    """The first samples (n, 1, 8, 8) in rows, dark on white, with a white line between them."""
    tiles = [np.pad(each[0], GAP) for each in samples[: ROWS * COLUMNS]]
    rows = [np.hstack(tiles[start : start + COLUMNS]) for start in range(0, len(tiles), COLUMNS)]
    picture = Image.fromarray(np.vstack(rows).repeat(ENLARGED, 0).repeat(ENLARGED, 1).astype(np.uint8), mode="P")
    grey = [round(255 * (1 - level / (LEVELS - 1))) for level in range(LEVELS)]
    picture.putpalette([value for level in grey for value in (level, level, level)])
    return picture


def main(project: Path) -> None:
    """Write a picture for each family of which the project has an entry."""
    SAMPLES.mkdir(exist_ok=True)
    for path in sorted(project.glob("artifacts/evaluate/*/samples.npy")):
        samples = np.load(path, allow_pickle=False)
        if samples.shape[1:] == SHAPE:
            model = json.loads((path.parent / "metrics.json").read_text())["model"]
            sheet(samples).save(SAMPLES / f"{model}.png", optimize=True, bits=5)
            print(SAMPLES / f"{model}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
