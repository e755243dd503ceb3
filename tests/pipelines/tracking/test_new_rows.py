"""What a model of before is worth on new data: the number of its own measure, whatever the units of the columns."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from models.catalogue import build, family_class, module_of
from models.contract import Event
from pipelines.data.prepared import Prepared
from pipelines.evaluation.finished import write_model
from pipelines.evaluation.metrics.likelihood import Likelihood, score
from pipelines.evaluation.validation import BATCH, log_volume
from pipelines.identity import code_digest
from pipelines.params.schema import Evaluate
from pipelines.tracking.champion import NotComparable
from pipelines.tracking.new_rows import Scale, objective_on

from ..data.prepared_folders import write_prepared

REAL = {"kind": "real", "dtype": "float64", "mean": 1.0, "std": 2.0, "decimals": None, "gaps": False}
KIND = {"kind": "category", "dtype": "str", "values": ["a", "b"], "gaps": False, "levels": 2}


def gmm(folder: Path, event: Event) -> Path:
    """A mixture with weights of chance, as MLflow saves it."""
    config = family_class("gmm").Config(components=2)
    torch.manual_seed(1)
    family = build("gmm", config, event)
    weights = {name: value + 0.1 * torch.rand_like(value) for name, value in family.state_dict().items()}
    described = {
        "model": "gmm",
        "config": {"components": 2},
        "event": json.loads(json.dumps(event.__dict__)),
        "code_digest": code_digest(f"models.{module_of('gmm')}"),
    }
    write_model(folder / "artifacts", weights, described)
    return folder


def subject(data: Prepared) -> Any:
    """What the measure looks at of a subject."""
    from pipelines.data.examples import Examples

    val = data.split("val")
    examples = Examples(np.asarray(val.x), None, torch.device("cpu"))
    return SimpleNamespace(data=data, event=data.event, settings=Evaluate(), val=examples)


@pytest.fixture
def data(tmp_path: Path) -> Prepared:
    x = np.random.default_rng(0).integers(0, 5, (100, 1, 2, 2)).astype(np.uint8)
    return write_prepared(tmp_path / "data", x, levels=5)


def test_it_is_the_number_of_the_validator(data: Prepared, tmp_path: Path) -> None:
    folder = gmm(tmp_path / "model", data.event)
    found = objective_on(subject(data), folder)
    from pipelines.evaluation.finished import load_family

    scores = score(load_family(folder / "artifacts"), subject(data).val.batches(BATCH), 0)
    assert found == pytest.approx(Likelihood.of(scores, log_volume(data)).in_unit_of(data.event), abs=1e-9)
    assert math.isfinite(found)


def test_events_of_another_kind_are_not_measured(data: Prepared, tmp_path: Path) -> None:
    other = Event((1, 2, 3), 5, 0)
    with pytest.raises(NotComparable, match=r"its shape was \(1, 2, 3\), and is \(1, 2, 2\) now"):
        objective_on(subject(data), gmm(tmp_path / "model", other))


def test_weights_that_the_code_cannot_read_are_not_measured(data: Prepared, tmp_path: Path) -> None:
    folder = gmm(tmp_path / "model", data.event)
    config = json.loads((folder / "artifacts" / "config.json").read_text())
    (folder / "artifacts" / "config.json").write_text(json.dumps({**config, "config": {"components": 3}}))
    with pytest.raises(NotComparable, match="makes no model of its weights"):
        objective_on(subject(data), folder)


def of_types(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> Scale:
    names = [f"c{number}" for number in range(len(old))]
    known = {"columns": names, "types": old}
    event = Event((len(old),), None, 0)
    there = SimpleNamespace(event=event, data=SimpleNamespace(meaning={"columns": names, "types": new}))
    return Scale.between({"event": event.__dict__, "data": known}, there)  # type: ignore[arg-type]


def test_columns_that_are_standardised_otherwise_are_translated() -> None:
    scale = of_types([REAL, KIND], [{**REAL, "mean": -1.0, "std": 0.5}, KIND])
    raw = torch.tensor([[3.0, 1.0], [-2.0, 0.0], [math.nan, 1.0]], dtype=torch.float64)
    old, new = raw.clone(), raw.clone()
    old[:, 0], new[:, 0] = (raw[:, 0] - 1.0) / 2.0, (raw[:, 0] + 1.0) / 0.5
    assert torch.allclose(scale.to_old(new), old, equal_nan=True)
    assert torch.allclose(scale.to_new(old), new, equal_nan=True)
    jacobian = torch.autograd.functional.jacobian(scale.to_old, new[0])
    assert scale.log_volume(new).tolist() == pytest.approx([torch.linalg.slogdet(jacobian)[1].item()] * 2 + [0.0])


def test_columns_with_other_values_are_not_measured() -> None:
    with pytest.raises(NotComparable, match="its columns c1 have other values now"):
        of_types([REAL, KIND], [REAL, {**KIND, "values": ["a", "c"]}])
    assert not of_types([REAL, KIND], [REAL, KIND]).moved
