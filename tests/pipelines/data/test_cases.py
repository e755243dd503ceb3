"""What people bring, the whole way through `prepare`: it works, or one attempt says everything that must be changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipelines.data.prepared import Prepared
from pipelines.errors import UserError
from pipelines.files import read_json
from pipelines.params.plan import SUMMARY
from pipelines.params.project import Project
from pipelines.params.reading import parse
from pipelines.stages import prepare

RNG = np.random.default_rng(0)
N = 60
FIT = {"model": "gmm", "config": {"components": 2}}
GAN = {"model": "gan", "config": {"architecture": "mlp"}}


def project(root: Path, data: dict[str, Any], **entries: dict[str, Any]) -> Project:
    """A project with these entries, which only `prepare` looks at."""
    raw = {"data": {"val_count": 0.1, "test_count": 0.2, **data}, "entries": entries or {"gmm": FIT}}
    return Project(root, parse(raw))


def refusal(root: Path, data: dict[str, Any], **entries: dict[str, Any]) -> list[str]:
    """The lines with which `prepare` refuses the project."""
    with pytest.raises(UserError) as caught:
        prepare.run(project(root, data, **entries))
    return str(caught.value).splitlines()


def prepared(root: Path, data: dict[str, Any], **entries: dict[str, Any]) -> Prepared:
    made = project(root, data, **entries)
    prepare.run(made)
    return Prepared.open(made.prepared)


def numbers(n: int = N) -> dict[str, Any]:
    return {"a": RNG.normal(size=n), "b": RNG.normal(size=n), "c": RNG.normal(size=n)}


def csv(root: Path, columns: dict[str, Any], **how: Any) -> dict[str, Any]:
    pd.DataFrame(columns).to_csv(root / "x.csv", index=False)
    return {"source": "csv", "path": "x.csv", **how}


# One label is none


@pytest.mark.parametrize("source", ["csv", "parquet", "npz"])
@pytest.mark.parametrize("typed", [True, False])
def test_one_label_is_none_and_conditional_entries_are_refused(
    tmp_path: Path, source: str, typed: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = {**numbers(), **({"job": RNG.choice(["baker", "smith"], N)} if typed else {}), "kind": ["u"] * N}
    how = csv(tmp_path, columns, label="kind")
    if source == "parquet":
        pd.DataFrame(columns).to_parquet(tmp_path / "x.parquet")
        how |= {"source": "parquet", "path": "x.parquet"}
    if source == "npz":
        np.savez(tmp_path / "x.npz", x=np.stack(list(numbers().values()), 1), y=np.array(["u"] * N))
        how = {"source": "npz", "path": "x.npz", "arrays": {"train": "x"}, "labels": {"train": "y"}}
    data = prepared(tmp_path, how)
    assert data.event.classes == 0
    assert data.split("train").labels is None
    assert "prepare: All are of one class, u: there are no labels." in capsys.readouterr().out
    told = {"model": "gmm", "config": {"conditional": True, "components": 2}}
    (first, second) = refusal(tmp_path, how, one=told, other=told, free=FIT)
    assert first.startswith("params.yaml: entries.one.config: conditional: true needs labels")
    assert second.startswith("params.yaml: entries.other.config: conditional: true needs labels")


def test_one_label_is_left_where_the_rare_ones_are_dropped(tmp_path: Path) -> None:
    how = csv(tmp_path, {**numbers(), "kind": ["u"] * (N - 2) + ["v"] * 2}, label="kind", rare="drop")
    data = prepared(tmp_path, how)
    assert data.event.classes == 0 and sum(data.meta["counts"].values()) == N - 2
    assert "All are of one class, u: there are no labels." in data.meta["decisions"]


def test_a_student_of_a_conditional_teacher_is_refused_with_it(tmp_path: Path) -> None:
    how = csv(tmp_path, {**numbers(), "kind": ["u"] * N}, label="kind")
    teacher = {"model": "maf", "config": {"conditional": True}}
    student = {"model": "iaf", "config": {"conditional": True}, "distill": {"teacher": "maf", "batch_size": 32}}
    lines = refusal(tmp_path, how, maf=teacher, iaf=student)
    assert len(lines) == 2 and all("conditional: true needs labels" in line for line in lines)


@pytest.mark.parametrize("names", [[str(number) for number in range(1, 11)], ["ant", "bee", "cat"]])
def test_labels_keep_their_names(tmp_path: Path, names: list[str]) -> None:
    label = np.array(names * 10)[: 10 * len(names)]
    how = csv(
        tmp_path, {**numbers(len(label)), "kind": label}, label="kind", test_count=len(names), val_count=len(names)
    )
    data = prepared(tmp_path, how | {"test_count": 2 * len(names)})
    assert data.meta["class_names"] == names


# Splits of one or two


def test_one_validation_example_for_a_gan_is_said(tmp_path: Path) -> None:
    how = csv(tmp_path, numbers(), val_count=0.01)
    (line,) = refusal(tmp_path, how, gan=GAN, other=GAN, gmm=FIT)
    assert line == (
        "params.yaml: data.val_count: 1 validation example is not enough: gan, other are judged by the FID of samples,"
        " which needs 2 or more"
    )
    assert prepared(tmp_path, how).meta["counts"]["val"] == 1, "a likelihood of one example is one"


def test_a_count_of_one_is_refused_before_the_files_are_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"1 validation example is not enough: gan is judged"):
        project(tmp_path, {"source": "csv", "path": "absent.csv", "val_count": 1}, gan=GAN)


def test_all_that_is_too_few_is_said_at_once(tmp_path: Path) -> None:
    how = csv(tmp_path, numbers(20), val_count=0.01, test_count=0.1)
    lines = refusal(tmp_path, how, gan=GAN)
    assert [line.split(":")[1].strip() for line in lines] == ["data.val_count", "evaluate.neighbours"]


def test_few_test_rows_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepared(tmp_path, csv(tmp_path, numbers(30), test_count=15))
    assert "prepare: 15 test examples are few: what takes 20 or 50 or 100 to mean something will be blank" in (
        capsys.readouterr().out
    )


# Whole lines of what people bring


def test_twins_are_named_where_people_look(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    columns = numbers()
    data = prepared(tmp_path, csv(tmp_path, {**columns, "twin": columns["a"]}))
    said = "Column twin follows from others (twin = a)"
    assert f"prepare: {said}" in capsys.readouterr().out
    assert any(said in each for each in data.meta["decisions"])
    assert said in (tmp_path / "report" / "data.html").read_text(encoding="utf-8")


def test_digits_as_kaggle_has_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pixels = {f"pixel{place}": RNG.integers(0, 256, N) if place % 8 else np.zeros(N, int) for place in range(64)}
    how = csv(tmp_path, {"label": np.arange(N) % 3, **pixels}, label="label")
    prepared(tmp_path, how)
    assert "may be pixels: if they are, write shape: [1, 8, 8]" in capsys.readouterr().out
    picture = {"model": "pixelcnn", "config": {"layers": 1, "width": 4}}
    data = prepared(tmp_path, how | {"shape": [1, 8, 8]}, pixelcnn=picture)
    assert (data.event.kind, data.event.shape, data.event.classes) == ("image", (1, 8, 8), 3)
    assert read_json(tmp_path / SUMMARY)["shape"] == [1, 8, 8]


def test_an_entry_that_does_not_fit_pixels_is_refused_before_they_are_read(tmp_path: Path) -> None:
    given = {"source": "csv", "path": "absent.csv", "shape": [1, 8, 8]}
    with pytest.raises(UserError, match=r"entries.wavenet.model: .*gives images"):
        project(tmp_path, given, wavenet={"model": "wavenet"})


@pytest.mark.parametrize(
    ("model", "config"), [("vae", {}), ("made", {}), ("gan", {}), ("diffusion", {}), ("realnvp", {})]
)
def test_defaults_that_do_not_fit_a_table_are_refused_or_fit(
    tmp_path: Path, model: str, config: dict[str, Any]
) -> None:
    """What passes `prepare` can be built."""
    how = csv(tmp_path, numbers())
    made = project(tmp_path, how, entry={"model": model, "config": config})
    refused = ""
    try:
        prepare.run(made)
    except UserError as error:
        refused = str(error)
    assert refused.startswith("params.yaml: entries.entry.") or Prepared.open(made.prepared).event.kind == "vector"
