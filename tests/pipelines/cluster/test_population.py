"""A population: who gives way, what is tried near what is good, and trainings that go through what the best had."""

from __future__ import annotations

import json
import math
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from pipelines.cluster.connect import connected
from pipelines.cluster.population import Population, explored
from pipelines.cluster.proposals import Space
from pipelines.cluster.search import Report, search
from pipelines.cluster.trials import OBJECTIVE, STEP, Journal, Proposal, TrialResult
from pipelines.data.prepared import Prepared
from pipelines.errors import UserError
from pipelines.files import read_json
from pipelines.params.project import Project
from pipelines.params.reading import parse
from pipelines.params.schema import Cluster, Dimension, Search
from pipelines.stages import train, tune
from pipelines.storage import Folder
from pipelines.training.jobs import family_job, trial_job, tuned

from ..data.prepared_folders import write_prepared
from .test_cluster import Unheard

SPACE = Space(
    {
        "rate": Dimension(low=1e-4, high=1.0, log=True),
        "width": Dimension(low=2, high=9),
        "form": Dimension(choices=["a", None, True, 1]),
    },
    frozenset({"width"}),
    {"rate": 0.01},
)


def settings(**more: Any) -> Search:
    """Eight members in three rounds of ten steps."""
    return Search(**{"scheduler": "population", "trials": 8, "steps": 30, "round_steps": 10, **more})


def played(folder: Path, objective: Any, pause: int = 0) -> list[Proposal]:
    """The whole of a search whose trials end at once, begun anew after every so many of them."""
    found, journal = list[Proposal](), Journal(Folder(folder))
    population = Population(SPACE, settings(), journal)
    for number in range(24):
        if pause and number % pause == 0:
            journal = Journal(Folder(folder))
            population = Population(SPACE, settings(), journal)
        proposal = Proposal(**population.suggest(str(number)))
        value = objective(proposal)
        failure = None if math.isfinite(value) else "diverged"
        history = [{STEP: 10 * len(proposal.rounds), OBJECTIVE: value}]
        journal.finish(
            TrialResult(number, proposal.parameters, history, False, failure, proposal.parent, proposal.earlier)
        )
        found.append(proposal)
    assert population.suggest("24") == "FINISHED"
    return found


def by_member(proposal: Proposal) -> float:
    return float(proposal.number % 8)


def test_the_worst_quarter_goes_on_from_the_best(tmp_path: Path) -> None:
    found = played(tmp_path, by_member)
    assert [each.parent for each in found[:8]] == [None] * 8 and found[0].parameters["rate"] == 0.01
    for number in range(8, 24):
        proposal, own = found[number], number - 8
        if number % 8 < 6:
            assert (proposal.parent, proposal.parameters) == (own, found[own].parameters)
        else:
            assert proposal.parent in (own // 8 * 8, own // 8 * 8 + 1)
            assert proposal.parameters != found[own].parameters
        assert proposal.parent is not None
        assert proposal.earlier == found[proposal.parent].rounds


def test_who_failed_gives_way_wherever_it_stands(tmp_path: Path) -> None:
    found = played(tmp_path, lambda each: math.nan if each.number < 7 else 1.0)
    assert [each.parent for each in found[8:16]] == [7] * 8
    assert found[15].parameters == found[7].parameters


def test_a_population_that_is_gone_on_with_is_the_same(tmp_path: Path) -> None:
    assert played(tmp_path / "a", by_member) == played(tmp_path / "b", by_member, pause=5)


def test_a_round_waits_for_the_one_before(tmp_path: Path) -> None:
    population = Population(SPACE, settings(), Journal(Folder(tmp_path)))
    first = [population.suggest(str(number)) for number in range(8)]
    assert all(isinstance(each, dict) for each in first) and population.suggest("8") is None


def test_what_is_near_lies_in_the_space() -> None:
    seen = dict[str, set[Any]]((key, set()) for key in SPACE.dimensions)
    for seed in range(300):
        found = explored(SPACE, {"rate": 0.5, "width": 8, "form": True}, Random(seed))
        assert 1e-4 <= found["rate"] <= 1.0 and 2 <= found["width"] <= 9 and isinstance(found["width"], int)
        for key, value in found.items():
            seen[key].add(json.dumps(value))
    assert {"0.4", "0.6"} < seen["rate"] and len(seen["rate"]) > 20, "by a factor, and now and then anywhere"
    assert {"6", "9"} < seen["width"] and seen["form"] == {'"a"', "null", "true", "1"}


@pytest.mark.parametrize(
    ("more", "says"),
    [({"trials": 1}, "needs at least 2 trials"), ({"round_steps": 30}, "needs round_steps below steps")],
)
def test_a_population_that_is_never_compared_is_refused(more: dict[str, int], says: str) -> None:
    with pytest.raises(ValueError, match=f"scheduler: population {says}"):
        settings(**more)


def walk(rounds: list[dict[str, Any]], report: Report) -> None:
    """Steps of a given length towards 0 from 1000, so that the best length depends on how far it is still to go."""
    x = 1000.0
    for number, parameters in enumerate(rounds):
        for step in range(10 * number + 1, 10 * number + 11):
            x = abs(x - 1000 * parameters["rate"])
            if number == len(rounds) - 1:
                report({"step": step, "objective": x})
    if rounds[-1]["width"] == 2:
        raise UserError("too narrow")


@pytest.mark.slow
def test_a_population_by_ray(tmp_path: Path) -> None:
    with connected(Cluster()):
        run = settings(steps=80, seed=3)
        found = search("tune@a", Journal(Folder(tmp_path / "a")), walk, SPACE, run, Cluster(), Unheard())
        cut = Journal(Folder(tmp_path / "b"))
        for result in found[:13]:
            cut.propose(Proposal(result.number, result.parameters, result.parent, result.earlier))
            cut.finish(result)
        assert search("tune@a", cut, walk, SPACE, run, Cluster(), Unheard()) == found
        narrow = Space({"rate": SPACE.dimensions["rate"], "width": Dimension(choices=[2])})
        with pytest.raises(UserError, match="tune@b: every trial failed; the first with: too narrow"):
            search("tune@b", Journal(Folder(tmp_path / "c")), walk, narrow, run, Cluster(), Unheard())
    assert len(found) == 64 and not any(result.stopped_early for result in found)
    assert [[row["step"] for row in result.history] for result in found[60:]] == [list(range(71, 81))] * 4
    best = min(result.best_objective for result in found if result.best_objective is not None)

    def constant(rate: float) -> float:
        """The best that one length alone reaches in all steps."""
        rows = list[dict[str, float]]()
        walk([{"rate": rate, "width": 9}] * 8, rows.append)
        return rows[-1]["objective"]

    assert best < min(constant(result.parameters["rate"]) for result in found[:8])


def project(folder: Path, **more: Any) -> Project:
    """A NICE of a table, searched by a population of 4 in 3 rounds."""
    run = {"scheduler": "population", "trials": 4, "steps": 12, "round_steps": 4, "validate_every": 2, "seed": 1}
    params = {
        "defaults": {"train": {"steps": 24, "batch_size": 16, "validate_every": 6}, "search": run},
        "entries": {
            "nice": {
                "model": "nice",
                "config": {"couplings": 2, "hidden": [8]},
                "search": {"learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}, **more},
            }
        },
        "cluster": {"workers": 0},
    }
    made = Project(folder, parse(params))
    write_prepared(made.prepared, np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32))
    return made


@pytest.mark.slow
def test_the_training_goes_through_what_the_best_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    made = project(tmp_path)
    entry, data = made.entries["nice"], Prepared.open(made.prepared)
    tune.run(made, entry)
    found = read_json(tmp_path / "artifacts/tune/nice/best.json")
    assert [each["until"] for each in found["earlier"]] == [1 / 3, 2 / 3][: len(found["earlier"])]
    table = (tmp_path / "artifacts/tune/nice/trials.csv").read_text().splitlines()
    assert len(table) == 13 and "member,round,parent" in table[0]
    last = tuned(made, entry)
    assert [each.config for each in last.earlier] == [
        entry.with_values(each["parameters"]).config for each in found["earlier"]
    ]
    assert [until for _, until in family_job(made, last, data).earlier] == [8, 16][: len(last.earlier)]
    train.run(made, entry)
    config = read_json(tmp_path / "artifacts/train/nice/config.json")
    assert config["found"] == found["parameters"]
    assert [each["until"] for each in config.get("earlier", [])] == [each["until"] for each in found["earlier"]]

    # What the search measured is what a training with these parameters in each round comes to.
    first, second = ({"learning_rate": rate} for rate in (1e-2, 1e-3))
    rows, again = list[dict[str, float]](), list[dict[str, float]]()
    trial = tune.Trial(made, entry, data.digest)
    trial([first], lambda row: None)
    trial([first, second], rows.append)
    assert [row["step"] for row in rows] == [6, 8]
    elsewhere = Project(tmp_path, made.params.model_copy(update={"cluster": Cluster(workers=0, storage="other")}))
    tune.Trial(elsewhere, entry, data.digest)([first, second], again.append)
    assert again == rows, "also where the part before is gone"
    part = trial_job(made, entry.with_values(second, [(1 / 3, first)]), data)
    assert (part.until, [until for _, until in part.earlier]) == (8, [4]) and part.before is not None


def test_what_changes_the_shape_of_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        project(tmp_path, hidden={"choices": [[8], [16]]}, couplings={"low": 2, "high": 4})
    hidden, couplings = str(caught.value).splitlines()
    assert hidden.startswith("params.yaml: entries.nice.search.hidden: is not allowed with defaults.search.scheduler")
    assert "whose members take up each other's weights: [16] gives them another shape" in hidden
    assert couplings.startswith("params.yaml: entries.nice.search.couplings: is not allowed")
