"""Where a version came from: its runs, its data, its parameters and its measurements, and its card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest

from pipelines.tracking.candidate import Origin
from pipelines.tracking.card import FILE, LONGEST, PICTURE
from pipelines.tracking.registry import Offer
from pipelines.tracking.stage_run import add_metrics, stage_run
from pipelines.tracking.store import connect, tracking_uri

from .toy_models import enter, save

DIGEST = "0123456789abcdef" * 4
DATA = {"name": "digits", "digest": DIGEST, "source": "digits", "profile": json.dumps({"train_examples": 8})}
MEASURED = {"nll_bits_per_dim": 1.5, "nll_bits_per_dim_low": 1.4, "nll_bits_per_dim_high": 1.63, "nll_kind": "bound"}
SPEEDS = {"samples_per_s": 250.0}
PNG = b"\x89PNG\r\n\x1a\n picture"


def worked(root: Path) -> Origin:
    """A training and an evaluation, as the stages record them."""
    tags = {"data_digest": DIGEST}
    with stage_run(root, "genera", "train", "toy", tags, {"loop": {"steps": 3}}, DATA) as trained:
        trained.log_curve([{"step": step, "objective": 2.0 / step} for step in (1, 2, 3)])
        trained.set_tags({"job_digest": "job"})
    with stage_run(root, "genera", "evaluate", "toy", tags, {}, DATA) as evaluated:
        evaluated.log_metrics({**MEASURED, "objective": 1.2})
    add_metrics(root, "genera", "evaluate", "toy", evaluated.key, SPEEDS)
    return Origin(trained.key, evaluated.key, DATA, SPEEDS)


def entered(root: Path, code: Path, **offered: Any) -> Any:
    """The version of a toy after this work."""
    offer = Offer(origin=worked(root), picture=PNG, **offered)
    named = {"objective_name": "val_nll_bits_per_dim", **MEASURED, **SPEEDS, "best_step": 3}
    enter(root, code, 0.0, 1.2, {"data_digest": DIGEST}, offer=offer, **named)
    return connect(root, "genera").client.get_model_version("genera-toy", "1")


def test_a_version_leads_to_its_runs_its_data_and_its_measurements(root: Path, code: Path) -> None:
    version, store = entered(root, code), connect(root, "genera")
    client = store.client
    trained = client.get_run(version.run_id)
    assert trained.info.run_name == "train@toy" and trained.data.params["loop.steps"] == "3"
    assert trained.data.tags["job_digest"] == "job" and len(client.get_metric_history(version.run_id, "objective")) == 3
    (used,) = trained.inputs.dataset_inputs
    assert used.dataset.name == "digits" and DIGEST.startswith(used.dataset.digest)
    assert json.loads(used.dataset.profile) == {"train_examples": 8}
    assert [output.model_id for output in trained.outputs.model_outputs] == [version.tags["logged_model"]]
    model = client.get_logged_model(version.tags["logged_model"])
    assert model.source_run_id == version.run_id and model.params["config.width"] == "1.5"
    assert json.loads(model.tags["mlflow.modelVersions"]) == [{"name": "genera-toy", "version": "1"}]
    found = {metric.key: metric for metric in model.metrics}
    assert found["val_nll_bits_per_dim"].value == 1.2 and found["nll_bits_per_dim"].value == 1.5
    assert found["samples_per_s"].dataset_name == "digits" and DIGEST.startswith(found["samples_per_s"].dataset_digest)
    for filter_string, count in (("metrics.val_nll_bits_per_dim < 2", 1), ("metrics.val_nll_bits_per_dim < 1", 0)):
        assert len(client.search_logged_models([store.experiment], filter_string)) == count
    names = [run.info.run_name for run in client.search_runs([store.experiment])]
    assert sorted(names) == ["evaluate@toy", "train@toy"], "registering is no run"


def test_a_run_that_measured_a_model_has_it_as_input_and_each_measurement_once(root: Path, code: Path) -> None:
    version, store = entered(root, code), connect(root, "genera")
    (found,) = store.client.search_runs([store.experiment], "tags.stage = 'evaluate'")
    run = store.client.get_run(found.info.run_id)
    assert [each.model_id for each in run.inputs.model_inputs] == [version.tags["logged_model"]]
    for name in (*MEASURED, *SPEEDS):
        if name != "nll_kind":
            assert len(store.client.get_metric_history(run.info.run_id, name)) == 1, name


def test_a_training_that_the_store_lacks_is_written_down_from_its_files(root: Path, code: Path) -> None:
    folder = save(root / "model")
    pd.DataFrame({"step": [10, 20], "objective": [3.0, 2.0], "loss": [1.0, None]}).to_csv(folder / "history.csv")
    (folder / "metrics.json").write_text(json.dumps({"objective": 2.0, "steps": 20}))
    offer = Offer(origin=Origin("of another store", None, DATA))
    enter(root, code, 0.0, 2.0, offer=offer)
    enter(root, code, 0.0, 2.0, offer=Offer(scores={"nll": [1.0], "draws": 1, "split": "test", "examples": 1}))
    client = connect(root, "genera").client
    first, second = (client.get_model_version("genera-toy", each) for each in "12")
    assert first.run_id == second.run_id, "one training, one run"
    run = client.get_run(first.run_id)
    assert run.info.run_name == "train@toy" and run.info.status == "FINISHED" and "recorded" in run.data.tags
    assert "git_commit" not in run.data.tags, "that of now says nothing about then"
    assert sorted({(p.step, p.value) for p in client.get_metric_history(first.run_id, "objective")}) == [
        (10, 3.0),
        (20, 2.0),
    ]
    assert run.inputs.dataset_inputs[0].dataset.name == "digits"


def test_the_card_has_what_a_person_needs(root: Path, code: Path) -> None:
    version = entered(root, code)
    text, model_id = version.description, version.tags["logged_model"]
    assert len(text) <= LONGEST
    assert "| `nll_bits_per_dim` | ≤ 1.500 | 1.40 … 1.63 | bits/dim (test) |" in text
    assert text.count("val_nll_bits_per_dim") == 1 and "bits/dim on the validation split" in text
    assert "`nll_bits_per_dim_low`" not in text, "an interval belongs to its measurement"
    for needed in (
        "digits",
        DIGEST,
        "8 train",
        "genera sample models:/genera-toy@champion --n 10",
        "mlflow models serve",
    ):
        assert needed in text, needed
    assert "lower bounds" in text and '"task": "complete"' in text
    address = f"ajax-api/2.0/mlflow/logged-models/{model_id}/artifacts/files?artifact_file_path=artifacts%2F{PICTURE}"
    assert f"]({address})" in text
    files = Path(mlflow.artifacts.download_artifacts(f"{version.source}/artifacts", tracking_uri=tracking_uri(root)))
    assert (files / PICTURE).read_bytes() == PNG
    whole = (files / FILE).read_text()
    assert f"]({PICTURE})" in whole and '"width": 1.5' in whole and "| `temperature` |" in whole


def test_a_card_that_is_too_long_leaves_out_what_matters_least(root: Path, code: Path) -> None:
    many = {f"nll_by_class.{number}": 1.0 for number in range(3)} | {"concerns": ["x" * 700] * 3}
    enter(root, code, 0.0, 1.0, {f"tag{number}": "y" * 200 for number in range(9)}, **many)
    text = connect(root, "genera").client.get_model_version("genera-toy", "1").description
    assert len(text) <= LONGEST and "## Origin" not in text and "## Use" in text
    assert text.rstrip().endswith(f"The whole card is the artifact `{FILE}` of the logged model.")


def test_weights_of_a_registered_model_are_as_readable_as_the_rest(root: Path, code: Path) -> None:
    enter(root, code, 0.0, 1.0)
    (weights,) = (root / "mlartifacts").rglob("model.safetensors")
    (made,) = (root / "mlartifacts").rglob("MLmodel")
    assert weights.stat().st_mode == made.stat().st_mode


def test_weights_are_readable_by_whoever_may_read_new_files(tmp_path: Path) -> None:
    import torch

    from pipelines.evaluation.finished import WEIGHTS, write_model

    write_model(tmp_path / "made", {"w": torch.zeros(2)}, {})
    (tmp_path / "ordinary").touch()
    assert (tmp_path / "made" / WEIGHTS).stat().st_mode == (tmp_path / "ordinary").stat().st_mode


@pytest.mark.parametrize("prefix", [None, "team-shared"])
def test_names_begin_with_the_prefix(root: Path, code: Path, prefix: str | None) -> None:
    enter(root, code, 0.0, 1.0, offer=Offer(prefix=prefix))
    (model,) = connect(root, "genera").client.search_registered_models()
    assert model.name == f"{prefix or 'genera'}-toy"


def test_a_server_answers_the_request_of_the_card(root: Path, code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.pyfunc.scoring_server import invocations

    version = entered(root, code)
    (line,) = [line.strip() for line in version.description.splitlines() if line.strip().startswith("-d '")]
    body = line.removeprefix("-d '").removesuffix("'")
    monkeypatch.setenv("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "true")  # as `mlflow models serve` does
    answer = invocations(body, "application/json", mlflow.pyfunc.load_model(version.source), None)
    assert answer.status == 200, answer.response
    said = json.loads(answer.response)["predictions"]
    assert said["seed"] == 7 and len(said["sample"]) == 2
