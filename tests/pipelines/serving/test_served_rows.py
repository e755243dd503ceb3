"""A consumer gets rows of a table in the format in which they were, and is told in a line what is wrong with theirs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from models.catalogue import build, family_class
from pipelines.data.prepared import Prepared
from pipelines.evaluation.finished import write_model
from pipelines.serving.answers.answering import Answering
from pipelines.serving.local import load_finished
from tests.pipelines.data.sources.reading import prepared

N = 300


def finished(folder: Path, data: Prepared, name: str, **config: Any) -> Answering:
    """A model of these rows as it is served, with the weights that it begins with."""
    torch.manual_seed(0)
    made = build(name, family_class(name).Config(**config), data.event)
    made.initialise(torch.from_numpy(np.array(data.split("train").x)), None, torch.Generator().manual_seed(0))
    fields = {"model": name, "config": config, "event": asdict(data.event), "data": data.meaning}
    write_model(folder, made.state_dict(), fields)
    return load_finished(folder)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    rng, root = np.random.default_rng(0), tmp_path_factory.mktemp("table")
    columns = {
        "age": rng.integers(18, 90, N),
        "sex": rng.choice(["Female", "Male"], N),
        "price": rng.integers(100, 9999, N) / 100,
        "joined": pd.date_range("2020-01-01", periods=N).strftime("%d.%m.%Y"),
        "job": np.where(rng.random(N) < 0.3, None, rng.choice(["a", "b"], N)),
    }
    pd.DataFrame(columns).to_csv(root / "x.csv", index=False)
    return prepared(root, source="csv", path="x.csv", val_count=0.2, test_count=0.2)


@pytest.fixture(scope="module")
def model(data: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Answering:
    return finished(tmp_path_factory.mktemp("made"), data, "made", hidden=[16], components=2)


def sampled(model: Answering, **asked: Any) -> pd.DataFrame:
    frame = model.answer(None, {"task": "sample", **asked})
    assert isinstance(frame, pd.DataFrame)
    return frame


def test_samples_have_the_names_types_and_values_of_the_data(model: Answering) -> None:
    frame = sampled(model, n=200, seed=1)
    assert list(frame) == ["age", "sex", "price", "joined", "job"]
    assert frame["age"].dtype == np.int64 and frame["age"].between(18, 89).all()
    assert set(frame["sex"]) == {"Female", "Male"} and set(frame["job"].dropna()) == {"a", "b"}
    assert 0.1 < frame["job"].isna().mean() < 0.5
    assert (frame["price"] == frame["price"].round(2)).all()
    assert pd.to_datetime(frame["joined"], format="%d.%m.%Y").dt.year.between(2020, 2020).all()
    pd.testing.assert_frame_equal(frame, sampled(model, n=200, seed=1))


def test_columns_are_found_by_their_names(model: Answering) -> None:
    frame = sampled(model, n=20)
    once = model.answer(frame, {"task": "log_prob"})
    again = model.answer(frame[frame.columns[::-1]], {"task": "log_prob"})
    np.testing.assert_array_equal(once, again)
    by_position = frame.set_axis([str(place) for place in range(frame.shape[1])], axis=1)  # as Spark has them
    np.testing.assert_array_equal(once, model.answer(by_position, {"task": "log_prob"}))
    np.testing.assert_array_equal(once, model.answer(frame.to_dict("records"), {"task": "log_prob"}))
    assert np.isfinite(once).all()


def test_what_is_wrong_is_one_line(model: Answering) -> None:
    frame = sampled(model, n=5)
    with pytest.raises(ValueError, match="sex: Other is not allowed: must be one of Female, Male"):
        model.answer(frame.assign(sex="Other", age=3.5), {"task": "log_prob"})
    with pytest.raises(ValueError, match="data: must be a DataFrame with the columns age, sex, price, joined, job"):
        model.answer(np.zeros((2, 5)), {"task": "log_prob"})
    with pytest.raises(ValueError, match="where: 'size>3': no column 'size'"):
        sampled(model, where=["size>3"])
    with pytest.raises(
        ValueError, match="data: age, job: are missing; more: is not known to this model; the columns must"
    ):
        model.answer(frame.drop(columns=["age", "job"]).assign(more=1), {"task": "log_prob"})
    with pytest.raises(ValueError, match="data: age: is there twice"):
        model.answer(pd.concat([frame, frame[["age"]]], axis=1), {"task": "log_prob"})
    with pytest.raises(ValueError, match=r"tempo: no such parameter; .*; n: 0 is not allowed"):
        model.answer(None, {"task": "sample", "tempo": 1, "n": 0})
    with pytest.raises(
        ValueError, match="where: is not read by the task log_prob, which reads seed, labels, positions"
    ):
        model.answer(frame, {"task": "log_prob", "where": ["age>3"]})
    with pytest.raises(ValueError, match="data: the task sample reads none"):
        model.answer(frame, {"task": "sample"})


def test_gaps_are_filled_and_all_else_is_kept(model: Answering) -> None:
    frame = sampled(model, n=30).assign(price=np.nan)
    made = model.answer(frame, {"task": "complete", "seed": 3})
    assert isinstance(made, pd.DataFrame)
    pd.testing.assert_frame_equal(made[["age", "sex", "joined"]], frame[["age", "sex", "joined"]])
    assert made["price"].between(-200, 400).all() and made["price"].notna().all()


def test_what_a_gap_is_filled_with_is_a_value_and_not_a_gap_again(model: Answering) -> None:
    made = model.answer(sampled(model, n=300).assign(job=None), {"task": "complete"})
    assert isinstance(made, pd.DataFrame) and set(made["job"]) == {"a", "b"}


def test_conditions_are_exact(model: Answering) -> None:
    """Among many rows those that fulfil a condition have the distribution of rows that are drawn under it."""
    under = sampled(model, n=1500, where=["sex=Female", "age>=60"], seed=2)
    assert (under["sex"] == "Female").all() and (under["age"] >= 60).all() and len(under) == 1500
    free = sampled(model, n=20_000, seed=5)
    chosen = free[(free["sex"] == "Female") & (free["age"] >= 60)]
    assert abs(under["age"].mean() - chosen["age"].mean()) < 1
    assert abs(under["job"].isna().mean() - chosen["job"].isna().mean()) < 0.06


def test_a_condition_that_no_row_fulfils_ends(model: Answering, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.serving.answers.answering.MOST_DRAWN", 20_000)
    with pytest.raises(ValueError, match=r"0 of .* rows fulfil price>1e9"):
        sampled(model, n=10, where=["price>1e9"])


def test_labels_come_back_under_their_names(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    columns = {"age": rng.integers(18, 90, N), "kind": rng.choice(["x", "y", "y", "y"], N)}
    pd.DataFrame(columns).to_csv(tmp_path / "x.csv", index=False)
    data = prepared(tmp_path, source="csv", path="x.csv", val_count=0.2, test_count=0.2, label="kind")
    served = finished(tmp_path / "made", data, "made", hidden=[16], conditional=True)
    frame = sampled(served, n=400)
    assert list(frame) == ["age", "kind"] and abs((frame["kind"] == "y").mean() - 0.75) < 0.08
    assert (
        set(sampled(served, n=10, labels=["x"])["kind"]) == set(sampled(served, n=10, positions=[0])["kind"]) == {"x"}
    )
    assert set(sampled(served, n=10, labels=["0"])["kind"]) == {"x"}, "no class is called so: it is a position"
    with pytest.raises(ValueError, match="labels: z is not allowed: must be of the classes x, y"):
        sampled(served, labels=["z"])
    given = served.answer(frame, {"task": "log_prob"})
    np.testing.assert_array_equal(
        given, served.answer(frame[["age"]], {"task": "log_prob", "labels": list(frame["kind"])})
    )
    with pytest.raises(ValueError, match="labels: the column kind has them, too"):
        served.answer(frame, {"task": "log_prob", "labels": ["x"]})
    assert set(sampled(served, n=10, where=["kind=y"])["kind"]) == {"y"}
