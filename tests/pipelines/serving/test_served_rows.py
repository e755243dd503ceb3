"""A consumer gets rows of a table in the format in which they were, and is told in a line what is wrong with theirs."""

from __future__ import annotations

import json
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
from pipelines.serving.answers.answering import Answering, Limits, as_json
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
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the finished model."""
    return tmp_path_factory.mktemp("made")


@pytest.fixture(scope="module")
def model(data: Prepared, made: Path) -> Answering:
    return finished(made, data, "made", hidden=[16], components=2)


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
    assert set(sampled(served, n=10, where=["kind=y", "age=30"])["kind"]) == {"y"}
    assert set(sampled(served, n=10, where=["kind!=y", "age>30"])["kind"]) == {"x"}
    assert list(sampled(served, n=3, where=["age=30"])) == ["age", "kind"]


def test_without_a_seed_samples_differ_and_the_answer_says_it(model: Answering) -> None:
    first, second = sampled(model, n=50), sampled(model, n=50)
    assert not first.equals(second)
    pd.testing.assert_frame_equal(first, sampled(model, n=50, seed=first.attrs["seed"]))
    pd.testing.assert_frame_equal(first[:20], sampled(model, n=20, seed=first.attrs["seed"]))


def test_conditions_on_what_comes_first_are_given_and_agree_with_rejection(
    model: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first column of MADE's order is given, and one row in 70 need not be waited for."""
    where = ["age=40", "price>=20"]
    under = sampled(model, n=3000, where=where, seed=1)
    assert under.attrs["where"].startswith("exact: what it sets is given")
    monkeypatch.setattr(type(model.family), "completes_exactly", lambda self, known: False)
    kept = sampled(model, n=600, where=where, seed=2)
    assert kept.attrs["where"].startswith("exact: rows are drawn")
    for rows in (under, kept):
        assert (rows["age"] == 40).all() and (rows["price"] >= 20).all()
    assert abs((under["sex"] == "Female").mean() - (kept["sex"] == "Female").mean()) < 0.08
    assert abs(under["price"].mean() - kept["price"].mean()) < 5


def test_several_completions_of_each_row(model: Answering) -> None:
    frame = sampled(model, n=4, seed=1).assign(price=np.nan).set_axis([10, 20, 30, 40], axis=0)
    made = model.answer(frame, {"task": "complete", "n": 3, "seed": 0})
    assert isinstance(made, pd.DataFrame)
    assert list(made.index) == [10, 10, 10, 20, 20, 20, 30, 30, 30, 40, 40, 40]
    assert (made["age"] == frame["age"].repeat(3)).all() and made["price"].nunique() > 4
    assert made.attrs["exact"] is False, "age, sex and price come before what is drawn, but joined and job do not"


def test_other_types_of_columns_are_the_same_values(model: Answering) -> None:
    frame = sampled(model, n=30, seed=3)
    once = model.answer(frame, {"task": "log_prob"})
    others = (
        frame.convert_dtypes(),
        frame.convert_dtypes(dtype_backend="pyarrow"),
        frame.astype({"sex": "category", "age": "Int32", "job": "category"}),
        frame.astype({"age": float}),
        frame.astype(object),
        frame.astype(str).where(frame.notna(), None),  # as CSV has them
    )
    for other in others:
        np.testing.assert_array_equal(once, model.answer(other, {"task": "log_prob"}))


def test_scores_say_how_usual_a_row_is(data: Prepared, tmp_path: Path) -> None:
    """Of rows like those that it was measured on, percentiles are uniform; a far one is at the end, and finite."""
    plain = finished(tmp_path / "made", data, "made", hidden=[16], components=2)
    assert "score" not in plain.tasks
    held_out = sampled(plain, n=1000, seed=1)
    nll = -np.asarray(plain.answer(held_out, {"task": "log_prob"}), np.float64)
    model = load_finished(tmp_path / "made", {"nll": sorted(nll), "draws": 1})
    scores = model.answer(sampled(plain, n=1000, seed=2), {})
    assert isinstance(scores, pd.DataFrame) and list(scores) == ["log_prob", "nll_nats", "percentile", "typicality"]
    for share in (10, 50, 90):
        assert abs((scores["percentile"] < share).mean() * 100 - share) < 5
    assert abs((scores["typicality"] < 0.1).mean() - 0.1) < 0.04
    np.testing.assert_allclose(scores["nll_nats"], -scores["log_prob"])


def test_json_has_nothing_that_json_does_not_know(model: Answering) -> None:
    frame = sampled(model, n=50, seed=1)
    assert frame["job"].isna().any()
    said = json.loads(json.dumps(as_json(frame), allow_nan=False))
    assert said["seed"] == 1 and said["task"] == "sample" and len(said["sample"]) == 50
    assert {type(row["job"]) for row in said["sample"]} == {str, type(None)}
    again = pd.DataFrame(said["sample"])
    np.testing.assert_array_equal(model.answer(frame, {"task": "log_prob"}), model.answer(again, {"task": "log_prob"}))


def test_a_request_has_limits(model: Answering, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = sampled(model, n=20, seed=1)
    monkeypatch.setattr(model, "limits", Limits.of_server({"GENERA_MAX_EXAMPLES": "10", "GENERA_MAX_SECONDS": "1e9"}))
    for data, params in (
        (None, {"n": 11}),
        (frame, {}),
        (frame, {"task": "complete"}),
        (frame[:6], {"task": "complete", "n": 2}),
    ):
        with pytest.raises(
            ValueError, match=r"examples are more than 10, the limit of this server: .* GENERA_MAX_EXAMPLES"
        ):
            model.answer(data, params)
    assert len(sampled(model, n=10)) == 10
    monkeypatch.setattr(model, "limits", Limits(bytes=100))
    with pytest.raises(ValueError, match=r"n: 16 examples of 20 bytes are more than 100 bytes, .* GENERA_MAX_BYTES"):
        sampled(model)
    monkeypatch.setattr(model, "limits", Limits(seconds=-1))
    with pytest.raises(ValueError, match=r"stopped after 0 seconds with 16 examples left, .* GENERA_MAX_SECONDS"):
        sampled(model)
    with pytest.raises(ValueError, match="GENERA_MAX_BYTES: 'many' is no number"):
        Limits.of_server({"GENERA_MAX_BYTES": "many"})
