"""The notebooks are run, in little time, and their committed outputs are of this text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest

from docs.making.notebooks import NOTEBOOKS, run
from models.contract import Event
from pipelines.tracking.champion import Rules
from pipelines.tracking.registry import Offer, register
from pipelines.tracking.store import tracking_uri

from ..pipelines.serving.test_answers import finished

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_store")]


def printed(notebook: Any) -> str:
    """All that the cells print."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return "".join(output.get("text", "") for cell in cells for output in cell.outputs)


def test_a_maf_on_moons(tmp_path: Path) -> None:
    said = printed(run(NOTEBOOKS / "maf_on_moons.ipynb", tmp_path, **{"STEPS = 1500": "STEPS = 60"}))
    assert "log p(x) of test rows" in said and "largest error of decode" in said


def test_a_registered_model_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finished(tmp_path / "maf", Event((1, 8, 8), 17, classes=10), "maf", conditional=True, blocks=1, hidden=[8])
    metrics, scores = {"objective": 1.0, "objective_name": "val_nll_bits_per_dim"}, {"nll": [1.0], "draws": 1}
    offer = Offer(scores=scores)
    register(tmp_path, "digits", "maf", tmp_path / "maf", metrics, Rules(), {"data_digest": "d"}, offer)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_uri(tmp_path))
    said = printed(run(NOTEBOOKS / "registered_model.ipynb", tmp_path))
    assert "'complete' is not offered by this model" in said


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_outputs_are_there_and_name_no_place_of_a_machine(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert any(cell.outputs for cell in cells) and all(cell.execution_count for cell in cells)
    assert not [output for cell in cells for output in cell.outputs if output.output_type == "error"]
    assert "site-packages" not in path.read_text(encoding="utf-8")
