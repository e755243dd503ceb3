"""Searches through parameters alone: which spaces are allowed, and what becomes of values that do not fit together."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipelines.cluster.proposals import Proposals
from pipelines.cluster.trials import Journal, TrialResult
from pipelines.errors import UserError
from pipelines.files import read_json
from pipelines.params.entry import Entry, entry_of
from pipelines.params.project import Project
from pipelines.params.reading import parse
from pipelines.params.schema import Params, Search
from pipelines.report.pictures import objective_against_parameters, rate_distortion
from pipelines.stages import tune
from pipelines.storage import Folder
from pipelines.training.jobs import tuned

from ..data.prepared_folders import write_prepared


def searching(space: dict[str, Any], **config: Any) -> Params:
    """Parameters of one GAN that is searched."""
    return parse({"entries": {"gan": {"model": "gan", "config": config, "search": space}}})


def test_names_truth_null_and_lists_can_be_searched() -> None:
    space = {
        "loss": {"choices": ["non_saturating", "hinge"]},
        "spectral_norm": {"choices": [True, False]},
        "weight_clip": {"choices": [None, 0.01]},
        "hidden": {"choices": [[64], [128, 128]]},
        "beta1": {"low": 0.0, "high": 0.9},
    }
    gan = entry_of(searching(space), "gan")
    assert vars(gan.with_values({"hidden": [128, 128], "weight_clip": None}).config)["hidden"] == (128, 128)


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
    assert str(caught.value).startswith(f"params.yaml: entries.gan.search.{key}: {says}")
    assert "\n" not in str(caught.value)


def test_values_that_do_not_fit_each_other_fail_their_trial(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    space = {"loss": {"choices": ["hinge", "wasserstein"]}, "spectral_norm": {"choices": [True, False]}}
    project, asked = Project(tmp_path, searching(space)), list[Entry]()
    monkeypatch.setattr(tune, "data_of", lambda *_: None)
    monkeypatch.setattr(tune, "trial_job", lambda project, entry, data: lambda report: asked.append(entry))
    trial = tune.Trial(project, project.entries["gan"], "digest")
    trial([{"loss": "wasserstein", "spectral_norm": True}], lambda row: None)
    assert [vars(entry.config)["loss"] for entry in asked] == ["wasserstein"]
    with pytest.raises(UserError, match=r"entries\.gan\.config: loss: wasserstein needs a weight_clip"):
        trial([{"loss": "wasserstein", "spectral_norm": False}], lambda row: None)


def test_values_of_the_block_are_those_of_the_first_trial(tmp_path: Path) -> None:
    space = {
        "loss": {"choices": ["hinge", "non_saturating"]},
        "latent": {"low": 4, "high": 64},
        "r1": {"low": 0, "high": 1},
    }
    project = Project(tmp_path, searching(space, loss="non_saturating", latent=8))
    start = tune.space_of(project, project.entries["gan"])
    assert start.start == {"loss": "non_saturating", "latent": 8} and start.integers == {"latent"}
    proposals = Proposals(start, Search(trials=4), Journal(Folder(tmp_path)))
    first, second = (dict(proposals.suggest(name))["parameters"] for name in ("a", "b"))
    assert (first["loss"], first["latent"]) == ("non_saturating", 8) and 0 <= first["r1"] <= 1
    assert second.keys() == first.keys() and second != first


def test_a_search_that_was_switched_off_leaves_the_configuration_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `dvc exp run -S entries.gan.search=null` does, whose plan still has the stage."""
    project = Project(tmp_path, searching({}, latent=8))
    write_prepared(project.prepared, np.zeros((20, 1, 8, 8), np.uint8), levels=17)
    tune.run(project, project.entries["gan"])
    assert read_json(project.artifacts("tune", project.entries["gan"]) / "best.json")["parameters"] == {}
    assert tuned(project, project.entries["gan"]) == project.entries["gan"]


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
    best = tune._write(tmp_path, results(), Search(steps=100), searched, "val_fid")
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
