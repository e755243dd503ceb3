"""Who becomes champion and challenger: requirements, new rows, experiments of DVC."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import UserError
from pipelines.files import read_json
from pipelines.params.reading import parse
from pipelines.params.schema import Requirement
from pipelines.stages.register import experiment
from pipelines.tracking.champion import NotComparable, Rules
from pipelines.tracking.registry import Offer
from pipelines.tracking.requirements import complain_of_requirements
from pipelines.tracking.store import connect

from .toy_models import champion, enter


def aliases(root: Path) -> dict[str, int]:
    found = connect(root, "genera").client.get_registered_model("genera-toy").aliases
    return {name: int(number) for name, number in found.items()}


def test_the_challenger_is_the_newest_beside_the_champion(root: Path, code: Path) -> None:
    enter(root, code, 0.0, 2.0)
    assert aliases(root) == {"champion": 1}
    enter(root, code, 0.1, 3.0)
    assert aliases(root) == {"champion": 1, "challenger": 2}
    enter(root, code, 0.2, 1.0)
    assert aliases(root) == {"champion": 3, "challenger": 2}


def test_a_champion_fulfils_every_requirement(root: Path, code: Path) -> None:
    rules = Rules(0.1, {"fid": Requirement(max=5.0), "coverage": Requirement(min=0.5, within=0.1)})

    def entered(mean: float, objective: float, **measured: Any) -> str:
        return enter(root, code, mean, objective, rules=rules, **measured).decision

    assert entered(0.0, 3.0, fid=9.0, coverage=0.8) == (
        "there is no champion: its fid 9 is above the max 5 of register.require"
    )
    assert aliases(root) == {"challenger": 1}
    assert "it has no coverage" in entered(0.1, 2.0, fid=4.0)
    assert entered(0.2, 2.0, fid=4.0, coverage=0.8).startswith("moved")
    behind = entered(0.3, 1.0, fid=4.0, coverage=0.6)
    assert behind.startswith("kept version 3: its coverage 0.6 is worse than 0.8 by more than within 0.1")
    assert "its coverage 0.4 is below the min 0.5" in entered(0.4, 1.0, fid=4.0, coverage=0.4)
    assert entered(0.5, 1.0, fid=5.0, coverage=0.75).startswith("moved from version 3")
    connect(root, "genera").client.delete_registered_model_alias("genera-toy", "champion")
    assert enter(root, code, 0.0, 3.0, rules=rules, fid=9.0, coverage=0.8).decision.endswith("now it is version 6")


def test_on_new_data_the_champion_is_measured_again(root: Path, code: Path) -> None:
    def again(value: float) -> Offer:
        def measure(folder: Path) -> float:
            assert read_json(folder / "artifacts" / "config.json")["model"] == "toy"
            return value

        return Offer(again=measure)

    rules = Rules(0.1, {"fid": Requirement(within=0.0)})
    enter(root, code, 0.0, 1.0, rules=rules, fid=1.0)
    kept = enter(root, code, 0.1, 2.0, {"data_digest": "e"}, rules, again(1.5), fid=2.0)
    assert not kept.champion and kept.compared and "nll 2 against 1.5, not lower" in kept.decision
    moved = enter(root, code, 0.2, 2.0, {"data_digest": "e"}, rules, again(2.5), fid=2.0)
    assert moved.champion and "nll 2 against 2.5, lower" in moved.decision
    assert "measured on the new validation split; within of fid was not asked" in moved.decision


def test_what_cannot_be_measured_on_new_data_is_said(root: Path, code: Path) -> None:
    def impossible(folder: Path) -> float:
        raise NotComparable("its shape was (2,), and is (3,) now")

    enter(root, code, 0.0, 1.0)
    done = enter(root, code, 0.1, 0.5, {"data_digest": "e"}, offer=Offer(again=impossible))
    assert not done.champion and not done.compared
    assert "its data_digest is d and not e (its shape was (2,), and is (3,) now); to move it by hand" in done.decision


def test_an_experiment_of_dvc_moves_no_alias_until_it_is_applied(root: Path, code: Path) -> None:
    enter(root, code, 0.0, 2.0)
    for _ in range(2):
        done = enter(root, code, 0.1, 1.0, rules=Rules(experiment="longer"))
        assert done.version == 2 and not done.champion and "dvc exp apply longer" in done.decision
        assert aliases(root) == {"champion": 1}
    assert enter(root, code, 0.0, 2.0, rules=Rules(experiment="longer")).champion, "it was decided about before"
    assert enter(root, code, 0.1, 1.0).decision.startswith("moved from version 1")
    assert champion(connect(root, "genera")) == 2
    assert enter(root, code, 0.1, 1.0).decision == "already registered as version 2"


def test_experiments_of_dvc_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    assert experiment(tmp_path) is None
    assert experiment(tmp_path / ".dvc" / "tmp" / "exps" / "tmpabc") == "of a folder of its own"
    monkeypatch.setenv("DVC_EXP_NAME", "longer")
    assert experiment(tmp_path) == "longer"


@pytest.mark.parametrize(
    ("require", "line"),
    [
        ({"fidd": {"max": 1.0}}, "fidd: is no measurement; did you mean 'fid'?"),
        ({"parameters": {"within": 1.0}}, "parameters.within: is not allowed: no direction of parameters is better"),
        ({"fid": {}}, "fid: {} is not allowed: give min, max or within"),
        ({"fid": {"min": 2.0, "max": 1.0}}, "min must be at most max"),
        ({"fid": {"within": -1.0}}, "fid.within: -1.0 is not allowed: must be greater than or equal to 0"),
    ],
)
def test_requirements_that_make_no_sense_are_refused(require: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError, match=r"register\.require") as caught:
        complain_of_requirements(parse({"entries": {"vae": {"model": "vae"}}, "register": {"require": require}}))
    assert line in str(caught.value)
