"""What `evaluate` measures of an entry: likelihoods, abilities, costs and neighbours, against what they must be."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.contract import Density, Event
from models.gmm import GMM
from pipelines.errors import UserError
from pipelines.evaluation.feature_space import quality_features
from pipelines.evaluation.measurements import abilities, cost, sample_quality
from pipelines.evaluation.measurements import scores as likelihood
from pipelines.evaluation.measurements.neighbours import Neighbours, nearest_training_examples
from pipelines.evaluation.measurements.subject import Subject
from pipelines.evaluation.metrics.distances import fid
from pipelines.evaluation.results import finite
from pipelines.evaluation.validation import draw
from pipelines.files import read_json
from pipelines.params.project import Project
from pipelines.stages import distill, evaluate, features

from ..small_projects import configured, finish, project_with

pytestmark = pytest.mark.usefixtures("recorded")
LEVELS = Event((1, 4, 4), 17, 3)
COLUMNS = Event((5,), None)


@pytest.fixture
def images(tmp_path: Path) -> Project:
    """Labelled images, and features to measure them in."""
    project = project_with(tmp_path, LEVELS)
    features.run(project)
    return project


def finished(project: Project, entry: str, **config: Any) -> Subject:
    """An entry that is hardly trained."""
    project = configured(project, entry, **config)
    return Subject(project, finish(project, entry))


def changed(project: Project, **settings: Any) -> Project:
    """The project with other settings of `evaluate`."""
    evaluating = project.params.evaluate.model_copy(update=settings)
    return Project(project.root, project.params.model_copy(update={"evaluate": evaluating}))


@torch.no_grad()
@pytest.mark.parametrize("conditional", [False, True])
def test_the_likelihoods_of_the_classes_make_up_that_of_all(images: Project, conditional: bool) -> None:
    subject = finished(images, "maf", conditional=conditional)
    measured, of_each = likelihood.measure(subject)
    labels = subject.test.labels
    assert labels is not None
    share = np.bincount(labels.numpy()) / len(labels)
    by_class = measured["nll_by_class"]
    assert list(by_class) == ["0", "1", "2"]
    assert share @ list(by_class.values()) == pytest.approx(measured["nll_bits_per_dim"], rel=1e-6)
    half = measured["nll_bits_per_dim_high"] - measured["nll_bits_per_dim"]
    in_bits = measured["nll_standard_error"] / (LEVELS.dimensions * math.log(2))
    assert half == pytest.approx(1.96 * in_bits, rel=1e-3)
    assert ("bayes_accuracy" in measured) == conditional
    assert (measured["nll_bound"], measured["objective_bound"]) == ("dequantised, 16 draws", "dequantised, 1 draw")
    assert of_each["nll"].shape == (len(labels),) and of_each["nll"].mean() == pytest.approx(measured["nll_nats"])


@torch.no_grad()
def test_examples_of_another_data_set_are_scored_beside_those_that_need_no_file(images: Project) -> None:
    other = np.random.default_rng(3).integers(0, 17, (30, 1, 4, 4), dtype=np.uint8)
    np.save(images.root / "other.npy", other)
    project = changed(images, foreign="other.npy")
    subject = finished(project, "gmm")
    of_other = likelihood.measure(subject)[0]["outliers"]
    assert set(likelihood.measure(finished(images, "gmm"))[0]["outliers"]) == set(of_other) - {"own"}
    family = subject.family
    assert isinstance(family, Density)
    bits = -family.log_prob(torch.from_numpy(other)).double().mean() / (LEVELS.dimensions * math.log(2))
    assert of_other["own"]["nll"] == pytest.approx(float(bits), rel=0.02), "up to the noise of the dequantisation"
    assert 0 <= of_other["own"]["likelihood_auroc"] <= 1 and 0 <= of_other["own"]["typicality_auroc"] <= 1


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (None, r"other\.npy: there is no such file; give a \.npy file of examples, or null"),
        (np.zeros((4, 16), np.uint8), r"holds uint8 \(4, 16\); it must hold uint8 \(N, 1, 4, 4\)"),
        (np.zeros((4, 1, 4, 4), np.float32), r"holds float32 \(4, 1, 4, 4\); it must hold uint8"),
        (np.zeros((0, 1, 4, 4), np.uint8), r"holds uint8 \(0, 1, 4, 4\)"),
        (np.full((4, 1, 4, 4), 17, np.uint8), r"holds 17; levels must be 0 … 16"),
    ],
)
@torch.no_grad()
def test_examples_of_another_kind_are_refused_in_a_line(images: Project, array: Any, message: str) -> None:
    if array is not None:
        np.save(images.root / "other.npy", array)
    project = changed(images, foreign="other.npy")
    with pytest.raises(UserError, match=rf"^params\.yaml: evaluate\.foreign: .*{message}") as caught:
        likelihood.measure(finished(project, "gmm"))
    assert "\n" not in str(caught.value)


@torch.no_grad()
def test_abilities_are_claimed_and_measured(images: Project) -> None:
    found = {entry: abilities.measure(finished(images, entry)) for entry in ("gmm", "vae", "maf", "iaf")}
    able = ("parallel_sampling", "invertible", "exact_likelihood", "latent", "completion")
    assert {entry: [each[name] for name in able] for entry, each in found.items()} == {
        "gmm": [True, False, False, False, True],  # of integers it has a bound, by dequantisation
        "vae": [True, False, False, True, False],
        "maf": [False, True, False, True, False],
        "iaf": [True, True, False, True, False],
    }
    assert found["maf"]["sampling_growth"] is None or found["maf"]["sampling_growth"] > 1.5
    assert found["iaf"]["sampling_growth"] < 1.5
    assert found["maf"]["inversion_error"] < 0.5 and found["vae"]["inversion_error"] is None
    assert not found["gmm"]["conditional"]
    assert abilities.measure(finished(images, "gmm", conditional=True))["conditional"]


@torch.no_grad()
def test_an_inverse_that_does_not_invert_is_no_ability(images: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    subject = finished(images, "maf")
    decode = type(subject.family).decode

    def broken(self: Any, z: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        return decode(self, z, labels).roll(1, 0)

    monkeypatch.setattr(type(subject.family), "decode", broken)
    measured = abilities.measure(subject)
    assert not measured["invertible"] and measured["inversion_error"] >= 1


@torch.no_grad()
def test_speeds_are_measured_at_every_batch_size(images: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that ticks once whenever it is read, so that no other work can turn two speeds round."""
    ticks = itertools.count()
    monkeypatch.setattr("pipelines.evaluation.metrics.throughput.time.perf_counter", lambda: float(next(ticks)))
    project = changed(images, small_batches=[1, 3], speed_batch=8)
    subjects = [finished(project, name) for name in ("maf", "vae")]
    maf, vae = ({**cost.measure(subject), **cost.speeds(subject)} for subject in subjects)
    for measured in (maf, vae):
        assert list(measured["sampling_speed"]) == ["1", "3", "8"]
        assert measured["samples_per_s"] == measured["sampling_speed"]["8"] > measured["sampling_speed"]["1"] > 0
        assert measured["log_probs_per_s"] == measured["scoring_speed"]["8"] > 0
        assert measured["train_steps"] == 4
        assert measured["sampling_flops"] > 2 * 16 and measured["parameters"] > 0
    assert (maf["sampling_passes"], maf["scoring_passes"]) == (2 * 16, 2)
    assert (maf["speed_device"], maf["speed_threads"], maf["speed_batch"]) == ("cpu", 1, 8)


@torch.no_grad()
def test_the_samples_most_like_training_examples_are_shown_beside_them(images: Project, tmp_path: Path) -> None:
    subject = finished(images, "gmm")
    found = nearest_training_examples(subject)
    fake, _, train = subject.in_features
    apart = np.linalg.norm(fake[:, None].astype(np.float64) - train[None], axis=2)
    np.testing.assert_allclose(found.distances[:, 0], np.sort(apart.min(1))[:10], rtol=1e-4, atol=1e-4)
    assert (np.diff(found.distances, axis=1) >= 0).all()
    row = int(apart.min(1).argmin())
    np.testing.assert_array_equal(found.samples[0], subject.samples[row].numpy())
    nearest = subject.train.rows(torch.from_numpy(apart[row].argsort(kind="stable")[:1]))[0]
    np.testing.assert_array_equal(found.neighbours[0, 0], nearest[0].numpy())
    found.save(tmp_path / "neighbours.npz")
    again = Neighbours.load(tmp_path / "neighbours.npz")
    assert all(np.array_equal(each, vars(again)[name]) for name, each in vars(found).items())


@torch.no_grad()
def test_tables_have_no_neighbours_to_look_at(tmp_path: Path) -> None:
    project = project_with(tmp_path, COLUMNS)
    features.run(project)
    found = nearest_training_examples(finished(project, "gmm"))
    assert found.samples.shape == (0, 5) and found.neighbours.shape == (0, 1, 5)


def test_samples_are_the_same_in_one_batch_and_in_many_and_have_their_labels(
    images: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    family = finished(images, "gmm", conditional=True).family
    told = torch.arange(30) % 3
    whole = draw(family, 30, 5, told)
    asked: list[list[int]] = []
    sample = type(family).sample

    def listening(self: Any, n: int, labels: Any = None, *rest: Any, **more: Any) -> torch.Tensor:
        asked.append(labels.tolist())
        return sample(self, n, labels, *rest, **more)

    monkeypatch.setattr("pipelines.evaluation.validation.BATCH", 7)
    monkeypatch.setattr(type(family), "sample", listening)
    parts = draw(family, 30, 5, told)
    assert asked == [part.tolist() for part in told.split(7)]
    assert parts.shape == whole.shape and torch.equal(parts[:7], draw(family, 7, 5, told[:7]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no such file; docs/metrics.md says which it may be, or give null"),
        (b"not weights", "weights"),
    ],
)
def test_weights_of_inception_that_cannot_be_used_are_refused_in_a_line(
    images: Project, content: bytes | None, message: str
) -> None:
    if content is not None:
        (images.root / "weights.pth").write_bytes(content)
    project = changed(images, inception="weights.pth")
    with pytest.raises(UserError, match=rf"^params\.yaml: evaluate\.inception: .*{message}") as caught:
        quality_features(project, LEVELS)
    assert "\n" not in str(caught.value)


def test_inception_is_for_images(tmp_path: Path) -> None:
    project = changed(project_with(tmp_path, COLUMNS), inception="weights.pth")
    (tmp_path / "weights.pth").write_bytes(b"whatever")
    with pytest.raises(UserError, match=r"^params\.yaml: evaluate\.inception: .*image"):
        quality_features(project, COLUMNS)


def test_a_student_of_labelled_data_is_recognised_as_often_as_the_classifier_says(tmp_path: Path) -> None:
    project = project_with(tmp_path, LEVELS)
    project = configured(project, "maf", "iaf", conditional=True)
    features.run(project)
    finish(project, "maf")
    distill.run(project, project.entries["iaf"])
    metrics = read_json(project.artifacts("distill", project.entries["iaf"]) / "metrics.json")
    count = project.params.evaluate.samples
    for role in ("student", "teacher"):
        assert metrics[f"{role}_recognised"] * count == pytest.approx(round(metrics[f"{role}_recognised"] * count))
    speeds = distill.speeds(project, project.entries["iaf"])
    assert metrics["kl_standard_error"] > 0 and "student_real_time_factor" not in speeds and speeds["speed_ratio"] > 0


def test_what_is_no_finite_number_is_left_blank_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    given = {"fid": 1.0, "nll_nats": math.inf, "outliers": {"noise": {"nll": math.nan, "examples": 3}}, "kind": "exact"}
    kept = finite("evaluate@maf", given)
    assert kept == {"fid": 1.0, "nll_nats": None, "outliers": {"noise": {"nll": None, "examples": 3}}, "kind": "exact"}
    assert capsys.readouterr().out.splitlines() == [
        "warning: evaluate@maf: nll_nats is inf: it is left blank",
        "warning: evaluate@maf: outliers: noise: nll is nan: it is left blank",
    ]


def test_a_density_that_excludes_an_example_is_evaluated_all_the_same(
    images: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished(images, "gmm")
    log_prob = GMM.log_prob

    def excluding(self: Any, x: torch.Tensor, *rest: Any) -> torch.Tensor:
        scores = log_prob(self, x, *rest)
        return torch.cat([scores[:-1], scores[-1:] - math.inf])

    monkeypatch.setattr(GMM, "log_prob", excluding)
    evaluate.run(images, images.entries["gmm"])
    row = read_json(images.artifacts("evaluate", images.entries["gmm"]) / "metrics.json")
    assert row["nll_bits_per_dim"] is None and row["objective"] is None and row["fid"] > 0
    assert row["outliers"]["noise"]["nll"] is None and row["outliers"]["noise"]["likelihood_auroc"] > 0.5


def test_what_is_measured_is_told_to_the_record(images: Project, recorded: Any) -> None:
    finished(images, "gmm")
    evaluate.run(images, images.entries["gmm"])
    (told,) = recorded.log_metrics.call_args.args
    folder = images.artifacts("evaluate", images.entries["gmm"])
    assert told == read_json(folder / "metrics.json")


@torch.no_grad()
def test_fid_compares_with_the_split_that_is_asked_for(images: Project) -> None:
    found = {}
    for split in ("test", "train"):
        subject = finished(changed(images, fid_reference=split), "gmm")
        measured, blocks = sample_quality.measure(subject)
        real = getattr(subject.in_features, split)
        assert measured["fid"] == pytest.approx(fid(real, subject.in_features.samples))
        assert (measured["fid_reference"], measured["fid_references"]) == (split, len(real))
        assert measured["fid_low"] <= measured["fid"] <= measured["fid_high"] and len(blocks["fid_real"]) == 20
        found[split] = measured
    assert found["test"]["fid"] != found["train"]["fid"]
    assert found["test"]["memorisation"] == found["train"]["memorisation"]
