"""The scorecard of a table in words, with what is to be known of the attacks."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from pipelines.evaluation.results import SCORECARD
from pipelines.evaluation.tables.privacy_attacks import Risk, Risks
from pipelines.evaluation.tables.scorecard import Judgement, Scorecard, lines, scorecard
from pipelines.files import write_json
from pipelines.report.table_scorecard import scorecard_lines, scorecard_notes

from ..evaluation.tables.customers import KINDS, customers

LOW = Risk(0.0123, 0.001, 0.0456, success=0.2, control=0.19, weak=False)
WEAK = replace(LOW, value=0.0, low=0.0, weak=True)
ATTACKED = Risks(LOW, WEAK, {"member": LOW}, attacks=500, real_rows=1234, synthetic_rows=567)


@pytest.fixture(scope="module")
def judged() -> Judgement:
    return scorecard(customers(200, 0), customers(60, 1), customers(80, 2), KINDS, target="member").synthetic


def written(folder: Path, judgement: Judgement) -> None:
    card = Scorecard(lines(judgement, judgement, judgement), 80, judgement, judgement, judgement)
    write_json(folder / SCORECARD, asdict(card))


def test_a_risk_stands_with_its_interval_and_the_count_of_attacks(judged: Judgement, tmp_path: Path) -> None:
    written(tmp_path, replace(judged, attacks=ATTACKED))
    found = {line.title: line for line in scorecard_lines(tmp_path)}
    assert found["Singling out"].cells == [("0.0123", "0.0010 to 0.046")] * 3
    assert found["Inference of member"].best == "0 is best" and "nearest sample" in found["Inference of member"].help
    assert found["Column shapes"].cells[0][1] == "" and found["Column shapes"].best == "1 is best"
    made, weak = scorecard_notes(tmp_path)
    assert "500 attacks of each kind on 1,234 different training rows" in made and "have 567 samples" in made
    assert weak.startswith("Linkability: these attacks did no better than guessing")


def test_what_is_not_measured_says_why(judged: Judgement, tmp_path: Path) -> None:
    written(tmp_path, replace(judged, attacks=Risks(None, None, {"member": None}, 0, 0, 0, "nobody attacked")))
    assert scorecard_notes(tmp_path) == [
        "Singling out, Linkability, Inference of member: not measured, since nobody attacked."
    ]
    found = {line.title: line for line in scorecard_lines(tmp_path)}
    assert found["Linkability"].cells == [("", "")] * 3 and found["Linkability"].help == "nobody attacked"


def test_other_data_than_tables_has_no_scorecard(tmp_path: Path) -> None:
    assert scorecard_lines(tmp_path) == [] and scorecard_notes(tmp_path) == []
    write_json(tmp_path / SCORECARD, {})
    assert scorecard_lines(tmp_path) == [] and scorecard_notes(tmp_path) == []
