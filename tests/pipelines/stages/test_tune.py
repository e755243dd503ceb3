"""Searches through parameters alone: which spaces are allowed, and what becomes of values that do not fit together."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipelines.cluster.search import TrialResult
from pipelines.errors import UserError
from pipelines.params.project import Project
from pipelines.params.reading import parse
from pipelines.params.schema import Params
from pipelines.report.pictures import objective_against_parameters, rate_distortion
from pipelines.stages import tune


def searching(space: dict[str, Any], **options: Any) -> Params:
    """Parameters of one GAN that is searched."""
    code = "models/gan.py"
    return parse(
        {
            "families": {"gan": {"model": "gan", **options}},
            "train": {"entries": {"gan": {"code": code, "after": "artifacts/tune/gan/best.json"}}},
            "tune": {"entries": {"gan": {"code": code, "space": space}}},
        }
    )


def test_names_truth_null_and_lists_can_be_searched() -> None:
    space = {
        "loss": {"choices": ["non_saturating", "hinge"]},
        "spectral_norm": {"choices": [True, False]},
        "weight_clip": {"choices": [None, 0.01]},
        "hidden": {"choices": [[64], [128, 128]]},
        "beta1": {"low": 0.0, "high": 0.9},
    }
    params = searching(space)
    assert params.config("gan", {"hidden": [128, 128], "weight_clip": None}).hidden == (128, 128)


@pytest.mark.parametrize(
    ("key", "choices", "says"),
    [
        ("loss", ["hinge", "vanishing"], "'vanishing' is not allowed: must be "),
        ("spectral_norm", [True, "yes"], "'yes' is not allowed: must be a valid boolean"),
        ("hidden", [[64], [0]], "[0] is not allowed: must be greater than or equal to 1"),
        ("latent", [8, 16.0], "16.0 is not allowed: must be a valid integer"),
        ("loss", ["hinge", "wasserstein"], "'wasserstein' is not allowed: loss: wasserstein needs a weight_clip"),
    ],
)
def test_a_choice_that_is_not_allowed_is_one_line(key: str, choices: list[Any], says: str) -> None:
    with pytest.raises(UserError) as caught:
        searching({key: {"choices": choices}})
    assert str(caught.value).startswith(f"params.yaml: tune.entries.gan.space.{key}: {says}")
    assert "\n" not in str(caught.value)


def test_values_that_do_not_fit_each_other_fail_their_trial(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    space = {"loss": {"choices": ["hinge", "wasserstein"]}, "spectral_norm": {"choices": [True, False]}}
    project = Project(tmp_path, searching(space))
    monkeypatch.setattr(tune, "family_job", lambda project, entry, found, *_: project.params.config(entry, found))
    trial = tune.Trial(project, "gan", "digest")
    trial.job({"loss": "wasserstein", "spectral_norm": True})
    with pytest.raises(UserError, match=r"families.gan: loss: wasserstein needs a weight_clip"):
        trial({"loss": "wasserstein", "spectral_norm": False}, lambda row: None)


def results() -> list[TrialResult]:
    chosen = [(True, [64], None, 0.1), (False, [8, 8], 0.1, 0.2), (True, [64], 0.1, 4.0)]
    return [
        TrialResult(
            number,
            {"norm": norm, "hidden": hidden, "variance": variance, "kl_weight": weight},
            [{"step": 100, "objective": 3.0 - number, "rate": 1.0 + number, "distortion": 9.0 - number}],
            stopped_early=number == 0,
        )
        for number, (norm, hidden, variance, weight) in enumerate(chosen)
    ]


def test_pictures_of_what_are_no_numbers(tmp_path: Path) -> None:
    searched = ["norm", "hidden", "variance", "kl_weight"]
    best = tune._write(tmp_path, results(), searched, "val_fid")
    assert best["parameters"] == {"norm": True, "hidden": [64], "variance": 0.1, "kl_weight": 4.0}
    text = (tmp_path / "trials.csv").read_text()
    trials = pd.read_csv(io.StringIO(text), keep_default_na=False, na_values=[""])  # as `compare` reads it
    figure = objective_against_parameters(trials, searched, "val_fid")
    ticks = [[label.get_text() for label in axes.get_xticklabels()] for axes in figure.axes]
    assert ticks[:3] == [["false", "true"], ["[64]", "[8, 8]"], ["0.1", "null"]]
    assert [axes.get_xscale() for axes in figure.axes] == ["linear", "linear", "linear", "log"]
    for axes, at in zip(figure.axes, [[1, 0, 1], [0, 1, 0], [1, 0, 0], [0.1, 0.2, 4.0]], strict=True):
        finished, stopped, ring = (dots.get_offsets().tolist() for dots in axes.collections)  # type: ignore[union-attr]
        assert (stopped, finished, ring) == ([[at[0], 3.0]], [[at[1], 2.0], [at[2], 1.0]], [[at[2], 1.0]])
    names = rate_distortion(trials, *searched).axes[len(searched) :]  # the colour bars
    assert [label.get_text() for label in names[0].get_yticklabels()] == ["false", "true"]
    assert (tmp_path / "rate_distortion.png").exists()
