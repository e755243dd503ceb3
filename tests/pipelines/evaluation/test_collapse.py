"""The watch-dogs: numbers that tell mode collapse, and sentences about it in the log, the metrics and the report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.classifier import Classifier
from models.contract import Event
from models.principal import PrincipalComponents
from pipelines.data.examples import Examples
from pipelines.evaluation.concerns import Watch, gist, warnings
from pipelines.evaluation.metrics.collapse import classes_covered, collapse_concerns, mean_distance
from pipelines.evaluation.validation import classified, collapse, family_concerns, family_validator
from pipelines.params.schema import Loop
from pipelines.stages.running import Finished
from pipelines.storage import Folder
from pipelines.training.loop import Training
from pipelines.training.task import State, Task

from ...models.families import Case, examples
from ..training.test_training import LOOP, Kill, Regression, make

EVENT = Event((1, 8, 8), 17, 3)


# Numbers


def test_a_class_is_covered_by_a_tenth_of_its_share() -> None:
    real = np.repeat([0, 1, 2], [50, 30, 20])
    assert classes_covered(real, np.repeat([0, 1, 2], [500, 300, 200]), 3) == 3
    assert classes_covered(real, np.repeat([0, 1, 2], [900, 80, 20]), 3) == 3, "a tenth of 200 is 20"
    assert classes_covered(real, np.repeat([0, 1, 2], [900, 81, 19]), 3) == 2
    assert classes_covered(real, np.repeat([0, 1, 2], [1000, 0, 0]), 3) == 1
    assert classes_covered(real, np.repeat([0, 1, 2], [980, 1, 19]), 3) == 1


def test_a_class_too_rare_to_be_missed_counts_as_covered() -> None:
    real = np.repeat([0, 1], [999, 1])
    assert classes_covered(real, np.zeros(1000, np.int64), 3) == 3, "of class 1 one is expected, of class 2 none"
    assert classes_covered(real, np.zeros(5000, np.int64), 3) == 2, "of 5000 samples five should be of class 1"


def test_diversity_is_the_mean_distance_of_pairs() -> None:
    x = np.array([[0.0, 0.0], [3.0, 4.0], [3.0, 0.0]], np.float32)
    assert mean_distance(x) == pytest.approx((5 + 3 + 4) / 3)
    assert mean_distance(np.full((50, 8), 1.234567, np.float32)) == 0
    many = np.random.default_rng(0).normal(size=(5000, 4)).astype(np.float32)
    assert mean_distance(many) == pytest.approx(mean_distance(many[1::5]), rel=0.05), "some rows stand for all"


def classifier() -> Classifier:
    torch.manual_seed(0)
    return Classifier(EVENT, width=4, feature_dimensions=8, learning_rate=1e-3).eval()


def test_samples_are_compared_with_real_examples_by_the_classifier() -> None:
    features, (x, _) = classifier(), examples(EVENT, 400)
    with torch.no_grad():
        assert (classified(features, features.features(x).numpy()) == features.logits(x).argmax(1).numpy()).all()
        features.head.weight.copy_(torch.eye(3, 8))
        features.head.bias.zero_()
    real = np.eye(8, dtype=np.float32)[np.arange(400) % 3]  # the classifier sees that number's class
    assert collapse(features, real, real) == {"diversity": 1.0, "classes_covered": 3}
    one = np.repeat(real[:1], 400, 0)
    assert collapse(features, real, one) == {"diversity": 0.0, "classes_covered": 1}
    assert collapse(features, real, real[np.arange(400) % 2]) == {
        "diversity": pytest.approx(0.75, rel=0.01),
        "classes_covered": 2,
    }
    assert collapse(features, one, real) == {"classes_covered": 3}, "real examples that do not differ are no measure"
    assert collapse(features, real, np.where(np.arange(400)[:, None] == 5, np.nan, real)) == {}
    assert set(collapse(PrincipalComponents(EVENT, 8), real, real)) == {"diversity"}, "without labels no classes"


def test_a_family_without_likelihood_is_watched_at_each_validation() -> None:
    x, labels = examples(EVENT, 100)
    measured = {}
    for case in (Case("gan", EVENT), Case("vae", EVENT)):
        family = case.build().eval()
        val = Examples(x.numpy(), labels.numpy())
        with torch.no_grad():
            measured[case.model] = family_validator(family, val, classifier(), 0, 0.0)()
    assert {"objective", "diversity", "classes_covered"} <= set(measured["gan"])
    assert not {"diversity", "classes_covered"} & set(measured["vae"])
    assert 0 <= measured["gan"]["diversity"] < 10


# Sentences


def test_concerns_say_what_is_wrong() -> None:
    assert collapse_concerns({"classes_covered": 10, "diversity": 0.9}, 10) == []
    assert collapse_concerns({}, 10) == collapse_concerns({"classes_covered": None, "diversity": None}, 10) == []
    (missed,) = collapse_concerns({"classes_covered": 3.0, "diversity": 0.9}, 10)
    assert missed.startswith("mode collapse: samples cover 3 of 10 classes;")
    (alike,) = collapse_concerns({"classes_covered": 10, "diversity": 0.21}, 10)
    assert "0.21 times as much" in alike


def test_those_of_the_family_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    family = Case("gan", EVENT).build()

    def concerns(measured: Mapping[str, float]) -> list[str]:
        return [f"the discriminator is at {measured['D']:.1f}"]

    monkeypatch.setattr(family, "concerns", concerns)
    first, second = family_concerns(family, {"classes_covered": 1, "D": 0.5})
    assert "1 of 3 classes" in first and second == "the discriminator is at 0.5"


def test_a_gist_has_no_numbers() -> None:
    assert gist("covers 3 of 10, 0.35 or 99.2% of 1,000; more") == gist("covers 4 of 10, 12.5 or 1% of 7; more")
    assert gist("covers 3") != gist("misses 3")


def concerned(folder: Path, fail_at: int | None = None) -> Training:
    """A training that is always concerned about one thing, from step 18 on about another, and whose best step is 6."""
    torch.manual_seed(0)
    module = Regression()
    module.fail_at = fail_at
    steps = iter(range(1, 100))

    def validate() -> dict[str, float]:
        return {"objective": float(next(steps)) + training.state.step}

    def concerns(row: Mapping[str, float]) -> list[str]:
        later = ["it is late"] if row["step"] >= 18 else []
        return [f"the objective is {row['objective']:.1f}", *later]

    task = make(module, validate)
    task = Task(task.name, module, task.players, task.examples, validate, concerns)
    training = Training(task, Loop(**LOOP), 0, Folder(folder), lambda row: None)
    training.run()
    return training


def lines(output: str) -> list[str]:
    return [line for line in output.splitlines() if line.startswith("test: step") and "/" not in line]


def test_the_log_has_each_concern_once_and_when_it_does_not_go_away(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = concerned(tmp_path).state
    said = lines(capsys.readouterr().out)
    assert said == ["test: step 18: the objective is 21.0", "test: step 30: it is late"]
    assert state.best_step == 6 and state.best_concerns == ["the objective is 7.0"]
    assert state.last_concerns == ["the objective is 47.0", "it is late"]


def test_a_resumed_training_does_not_repeat_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Kill):
        concerned(tmp_path, fail_at=37)
    assert len(lines(capsys.readouterr().out)) == 2
    state = concerned(tmp_path).state
    assert lines(capsys.readouterr().out) == []
    assert state.best_concerns == ["the objective is 7.0"] and state.last_concerns[1] == "it is late"


def test_what_goes_away_in_time_is_not_voiced() -> None:
    watch = Watch(100)
    assert watch.stuck(10, ["covers 1"]) == watch.stuck(30, ["covers 3"]) == []
    assert watch.stuck(40, []) == watch.stuck(50, ["covers 2"]) == watch.stuck(70, ["covers 2"]) == []
    assert watch.stuck(75, ["covers 2", "it is late"]) == ["covers 2"]
    assert watch.unsaid(["covers 4", "it is late"]) == ["it is late"]  # at the end
    assert watch.unsaid(["it is late"]) == []


def finished(best: list[str], last: list[str]) -> list[str]:
    return Finished({}, State(best_concerns=best, last_concerns=last), "train@gan", "").concerns


def test_metrics_have_those_of_the_best_weights_and_new_ones_of_the_end() -> None:
    assert finished([], []) == []
    assert finished(["covers 3"], ["covers 4", "it is sure"]) == ["covers 3", "by the end of training it is sure"]


@pytest.mark.parametrize(
    ("evaluated", "trained", "shown"),
    [
        ([], [], []),
        (["covers 4 of 10"], ["covers 3 of 10", "it is sure"], ["Covers 4 of 10.", "It is sure."]),
        (["covers 4 of 10"], ["it is sure"], ["It is sure.", "Covers 4 of 10."]),
    ],
)
def test_the_report_has_a_sentence_for_each(evaluated: list[str], trained: list[str], shown: list[Any]) -> None:
    assert warnings(evaluated, trained) == shown
