"""Numbers of too few examples are blank, and it is said why."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.contract import Event
from pipelines.evaluation.few import BLANK, sentences_about_blanks, too_few_reason, without_few
from pipelines.evaluation.metrics.enough import sentence_about_few
from pipelines.evaluation.metrics.metric_catalogue import METRICS
from pipelines.files import read_json
from pipelines.stages import evaluate, features

from ..small_projects import finish, project_with

FEW = "15 of the 50 examples that are needed"


def test_numbers_of_too_few_examples_are_blank_with_their_intervals() -> None:
    measured = {"precision": 1.0, "prdc_examples": 15, "fid": 3.0, "fid_low": 2.0, "fid_high": 4.0}
    counts = {"fid_references": 400, "fid_samples": 2000}
    assert without_few({**measured, **counts}, 400) == {
        **measured, **counts, "precision": None, BLANK: {"precision": FEW},
    }  # fmt: skip
    found = without_few({**measured, "fid_references": 15, "fid_samples": 2000}, 15)
    assert [found[name] for name in ("fid", "fid_low", "fid_high", "precision")] == [None] * 4
    assert found[BLANK] == {"fid": FEW, "precision": FEW}


def test_the_fewer_of_examples_and_samples_count() -> None:
    found = without_few({"kid": 0.1, "fid_references": 400, "fid_samples": 15}, 400)
    assert found[BLANK] == {"kid": FEW}


def test_numbers_in_mappings_are_counted_by_their_own_names() -> None:
    measured = {"nll_by_class": {"a.b": 1.0, "c": 2.0}, "nll_by_class_examples": {"a.b": 3, "c": 9}}
    found = without_few(measured, 12)
    assert found["nll_by_class"] == {"a.b": None, "c": 2.0}
    assert found[BLANK] == {"nll_by_class.a.b": "3 of the 5 examples that are needed"}


def test_what_says_no_count_was_measured_on_the_test_split() -> None:
    assert without_few({"probe_accuracy": 0.9}, 19)["probe_accuracy"] is None
    assert without_few({"probe_accuracy": 0.9}, 20) == {"probe_accuracy": 0.9}


def test_what_was_not_measured_and_what_is_no_metric_stay_as_they_are() -> None:
    measured = {"fid": None, "fid_references": 3, "fid_features": "pca", "samples_per_s": 3.0, "objective": 1.0}
    assert without_few(measured, 3) == measured


def test_a_sentence_for_each_count_that_is_needed() -> None:
    found = without_few({"fid": 1.0, "kid": 1.0, "fid_references": 15, "nll_nats": 1.0, "nll_examples": 4}, 15)
    assert sentences_about_blanks(found) == [
        "Blank, since there are fewer than the 5 examples that are needed: NLL.",
        "Blank, since there are fewer than the 50 examples that are needed: FID, KID.",
    ]
    assert sentences_about_blanks({"fid": 1.0}) == []


def test_what_a_small_test_split_means_is_said_beforehand() -> None:
    assert sentence_about_few(15) == (
        "15 test examples are few: what takes 20 or 50 or 100 to mean something will be blank, and the report"
        " says which."
    )
    assert sentence_about_few(100) == ""


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if metric.least])
def test_every_metric_is_counted_by_something(name: str) -> None:
    assert too_few_reason(name, METRICS[name].least) == ""
    assert too_few_reason(name, METRICS[name].least - 1)


def test_fifteen_test_rows_leave_precision_and_recall_blank(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = project_with(tmp_path, Event((4,), None, 0), counts=(60, 15, 15))
    features.run(project)
    evaluate.run(project, finish(project, "gmm"))
    metrics = read_json(project.artifacts("evaluate", project.entries["gmm"]) / "metrics.json")
    blank = ("precision", "recall", "density", "coverage", "fid", "fid_low", "kid", "two_sample_auc", "synthetic_score")
    assert [metrics[name] for name in blank] == [None] * len(blank)
    assert metrics["nll_nats"] is not None
    assert metrics[BLANK]["precision"] == FEW
    assert (
        "evaluate@gmm: Blank, since there are fewer than the 50 examples that are needed: FID, KID, Precision"
        in capsys.readouterr().out
    )
