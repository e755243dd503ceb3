"""The registry on a real server: MLflow on PostgreSQL, with its files in object storage that speaks S3."""

from __future__ import annotations

from pathlib import Path

import boto3
import mlflow
import pytest
from moto.server import ThreadedMotoServer

from pipelines.tracking.card import LONGEST
from pipelines.tracking.store import connect

from ...mlflow_server import served
from .test_lineage import DATA, PNG, entered
from .toy_models import enter

pytestmark = pytest.mark.slow
KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}


def test_a_project_on_a_real_server_has_all_that_one_on_a_file_has(
    tmp_path: Path, code: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    storage.start()
    host, port = storage.get_host_and_port()
    url, folder = f"http://{host}:{port}", tmp_path_factory.mktemp("server")
    try:
        boto3.client("s3", endpoint_url=url, aws_access_key_id="key", aws_secret_access_key="secret").create_bucket(
            Bucket="models"
        )
        with served(folder, "s3://models/files", MLFLOW_S3_ENDPOINT_URL=url, **KEYS) as server:
            monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
            version = entered(tmp_path, code)
            store = connect(tmp_path, "genera")
            client = store.client
            assert 1000 < len(version.description) <= LONGEST, "PostgreSQL refuses a longer one"
            run = client.get_run(version.run_id)
            assert run.info.run_name == "train@toy" and run.info.status == "FINISHED"
            assert run.inputs.dataset_inputs[0].dataset.name == DATA["name"]
            found = client.search_logged_models([store.experiment], "metrics.val_nll_bits_per_dim < 2")
            assert [each.model_id for each in found] == [version.tags["logged_model"]]
            assert enter(tmp_path, code, 0.3, 2.0, objective_name="val_nll_bits_per_dim").version == 2
            assert client.get_registered_model("genera-toy").aliases == {"champion": "1", "challenger": "2"}
            mlflow.set_tracking_uri(server.uri)
            model = mlflow.pyfunc.load_model("models:/genera-toy@champion")
            assert len(model.predict(None, params={"task": "sample", "n": 3})) == 3
            picture = mlflow.artifacts.download_artifacts(f"{version.source}/artifacts/samples.png")
            assert Path(picture).read_bytes() == PNG
    finally:
        mlflow.set_tracking_uri(None)
        storage.stop()
    assert not list((tmp_path).glob("mlflow.db"))
