"""The attacks of anonymeter find out a copycat, and gain nothing from new rows."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest

from pipelines.errors import UserError
from pipelines.evaluation.tables.attack_tables import attack_tables
from pipelines.evaluation.tables.privacy_attacks import Risks, attacks_if_installed, privacy_attacks

from .customers import KINDS, customers

TRAIN, HOLDOUT = customers(400, 0), customers(400, 1)
INSTALLED = pytest.mark.skipif(
    find_spec("anonymeter") is None, reason="anonymeter is not installed: `uv sync --group privacy`"
)


def attacked(synthetic: pd.DataFrame) -> Risks:
    return privacy_attacks(TRAIN, HOLDOUT, synthetic, KINDS, ("school", "age"), attacks=200)


def test_tables_are_as_the_library_takes_them() -> None:
    names = {name: f"c{place}" for place, name in enumerate(KINDS)}
    indebted = TRAIN.assign(balance=TRAIN["balance"] - 10_000)
    ori, control, syn = attack_tables(indebted, HOLDOUT[:300], indebted, KINDS, names, 250, 0)
    assert [len(table) for table in (ori, control, syn)] == [250] * 3
    together = pd.concat([ori, control, syn])
    assert not together.isna().to_numpy().any()
    assert {name for name in together if together[name].dtype.kind == "f"} == {"c0", "c1", "c3", "c6", "c7"}
    assert together["c1"].min() >= 0 and together["c6"].min() < 3, "days since the first"
    assert together["c0"].min() == 18, "what is never negative is left"
    assert set(together["c5"]) == {"v-1", "v0", "v1", "v2"}
    twice = pd.concat([TRAIN, TRAIN])
    assert len(attack_tables(twice, twice, twice, KINDS, names, 10_000, 0)[2]) == 400, "different rows"


def test_who_lacks_the_library_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anonymeter", None)
    with pytest.raises(UserError, match="uv sync --group privacy"):
        attacked(TRAIN)


@INSTALLED
def test_a_single_column_is_not_attacked_and_that_is_said() -> None:
    ages = [table[["age"]] for table in (TRAIN, HOLDOUT, TRAIN)]
    alone = attacks_if_installed(*ages, {"age": "number"}, ("age",))
    assert alone.inference == {"age": None} and "single column" in alone.reason


@INSTALLED
def test_a_copycat_is_found_out() -> None:
    risks = attacked(TRAIN)
    assert risks.singling_out.low > 0.8
    assert risks.inference["school"].success == risks.inference["age"].success == 1
    assert risks.inference["age"].low > 0.8
    assert risks.linkability.low > 0.05
    assert (risks.attacks, risks.real_rows, risks.synthetic_rows) == (200, 400, 400)


@INSTALLED
def test_new_rows_give_no_risk_above_chance() -> None:
    risks = attacked(customers(400, 2))
    for risk in (risks.singling_out, risks.linkability, *risks.inference.values()):
        assert risk.low <= 0.02
    assert risks == attacked(customers(400, 2)), "the same each time"


@INSTALLED
def test_the_generator_of_numpy_is_left_as_it_was() -> None:
    np.random.seed(1)
    expected = np.random.random(3)
    np.random.seed(1)
    attacked(customers(200, 2))
    np.testing.assert_array_equal(np.random.random(3), expected)


@INSTALLED
def test_few_rows_are_not_attacked() -> None:
    few = attacked(TRAIN[:99])
    assert (few.singling_out, few.linkability, few.inference) == (None, None, {"school": None, "age": None})
    assert "99 different rows" in few.reason
