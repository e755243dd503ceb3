"""Toy models of every kind of data, as the page has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines.serving.consumer.playground.opened import Opened
from pipelines.serving.consumer.playground.python_lines import Loading
from tests.pipelines.data.sources.reading import prepared

from ..test_answers import IMAGES, SOUNDS, VECTOR_DATA, VECTORS, finished
from ..test_served_rows import finished as finished_rows

NAMES = {"class_names": ["1", "2", "cat"]}
WAVE = {"sample_rate": 8000, "encoding": "mu_law", "range": [-1.0, 1.0]}
HERE = Loading("import sys\n\nmodel = MODEL", "answer")  # of a test that sets MODEL


@pytest.fixture(scope="session")
def toys_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the files of the toys are."""
    return tmp_path_factory.mktemp("toys")


@pytest.fixture(scope="session")
def toys(toys_folder: Path) -> dict[str, Opened]:
    """Models with the weights that they begin with."""
    root, rng = toys_folder, np.random.default_rng(0)
    rows = pd.DataFrame(
        {
            "age": rng.integers(18, 90, 200),
            "price": rng.integers(100, 9999, 200) / 100,
            "job": np.where(rng.random(200) < 0.3, None, rng.choice(["<b>a</b>", "{{b}} ${1}"], 200)),
        }
    )
    (root / "csv").mkdir()
    rows.to_csv(root / "csv" / "x.csv", index=False)
    data = prepared(root / "csv", source="csv", path="x.csv", val_count=0.2, test_count=0.2)
    small = {"hidden": [16]}
    models = {
        "images": finished(root / "images", IMAGES, data=NAMES, conditional=True, **small),
        "vae": finished(root / "vae", IMAGES, "vae", NAMES, conditional=True, latent=3, **small),
        "sounds": finished(root / "sounds", SOUNDS, data=WAVE, **small),
        "vectors": finished(root / "vectors", VECTORS, "maf", VECTOR_DATA, blocks=1, hidden=[8]),
        "unnamed": finished(root / "unnamed", VECTORS, "maf", blocks=1, hidden=[8]),
        "table": finished_rows(root / "table", data, "made", components=2, **small),
        "coded table": finished_rows(root / "coded", data, "vae", latent=2, **small),
    }
    return {title: Opened(title, model, HERE) for title, model in models.items()}


@pytest.fixture
def picture(tmp_path: Path) -> str:
    """A photograph that has not the size of the images."""
    from PIL import Image

    path = tmp_path / "photo.png"
    Image.linear_gradient("L").save(path)
    return str(path)
