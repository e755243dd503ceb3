"""Prepared data on a path that others see and in object storage: an S3 server on this machine stands for it."""

from __future__ import annotations

import json
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
import numpy as np
import pytest
import torch
from botocore.loaders import JSONFileLoader
from moto.server import ThreadedMotoServer

from pipelines import storage
from pipelines.cluster.launch import launch
from pipelines.data.prepared import Prepared, data_digest
from pipelines.data.publishing import _files, fetch, publish
from pipelines.errors import UserError
from pipelines.files import file_digest
from pipelines.params.project import Project
from pipelines.params.schema import Cluster, Params
from pipelines.storage import Folder
from pipelines.training import checkpoint
from pipelines.training.jobs import classifier_job, data_of

HANGING = 300  # seconds that nobody would wait
SECRET = "a-secret-that-nobody-may-see"
LOAD_FILE = JSONFileLoader.load_file
FILES = ["train.npy", "train_labels.npy", "val.npy", "val_labels.npy"]


def prepare(folder: Path, seed: int = 0) -> Prepared:
    """A small prepared folder, as the stage `prepare` makes it."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for split, count in (("train", 60), ("val", 20)):
        np.save(folder / f"{split}.npy", random.integers(0, 17, (count, 1, 8, 8), dtype=np.uint8))
        np.save(folder / f"{split}_labels.npy", np.arange(count) % 2)
    meta: dict[str, Any] = {"name": folder.name, "kind": "image", "shape": [1, 8, 8], "levels": 17, "ordered": True}
    meta |= {"each_step": None, "class_names": ["a", "b"], "columns": None}
    meta["class_counts"] = {"train": [30, 30], "val": [10, 10]}
    meta["files"] = {name: file_digest(folder / name) for name in FILES}
    meta["digest"] = data_digest(meta)
    (folder / "meta.json").write_text(json.dumps(meta))
    return Prepared.open(folder)


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    return prepare(tmp_path / "project" / "data" / "prepared" / "digits")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings of the person who runs the tests."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("GENERA_CACHE", str(tmp_path / "cache"))


@cache
def description(path: str) -> Any:
    return LOAD_FILE(JSONFileLoader(), path)


@pytest.fixture(autouse=True)
def descriptions_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore reads megabytes of JSON for each client, which takes longer than all that the clients are there for."""
    monkeypatch.setattr(JSONFileLoader, "load_file", lambda _, path: description(path))


def s3() -> Any:
    return fsspec.filesystem("s3", skip_instance_cache=True, use_listings_cache=False)


@pytest.fixture
def bucket(server: str, environment: None, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a place in an empty bucket."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    name = f"bucket-{uuid4().hex}"
    s3().mkdir(name)
    return f"s3://{name}/some/prefix"


@pytest.fixture
def gets(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The arrays that were fetched."""
    names: list[str] = []
    get = Folder.get

    def counted(self: Folder, name: str, target: Path) -> None:
        names.append(name)
        get(self, name, target)

    monkeypatch.setattr(Folder, "get", counted)
    return names


@pytest.fixture
def puts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were published, in order."""
    names: list[str] = []
    put, write = Folder.put, Folder.write

    def counted(self: Folder, source: Path) -> None:
        if source.name != "meta.json":  # which is counted as it is written
            names.append(source.name)
        put(self, source)

    def counted_write(self: Folder, name: str, content: bytes) -> None:
        names.append(name)
        write(self, name, content)

    monkeypatch.setattr(Folder, "put", counted)
    monkeypatch.setattr(Folder, "write", counted_write)
    return names


@pytest.fixture(params=["s3", "path", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Each kind of place."""
    if request.param == "s3":
        return str(request.getfixturevalue("bucket"))
    return str(tmp_path / "shared") if request.param == "path" else f"memory://{tmp_path.name}/deep"


def fetched(prepared: Prepared, url: str, cache: Path) -> Prepared:
    return fetch(url, "digits", prepared.digest, cache)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def message(call: Callable[[], object]) -> str:
    """The one line that a user reads."""
    with pytest.raises(UserError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text and SECRET not in text
    return text


def test_what_is_published_is_what_is_fetched(
    prepared: Prepared, url: str, tmp_path: Path, puts: list[str], gets: list[str]
) -> None:
    where = publish(prepared, url)
    assert where == f"{url}/digits-{prepared.digest[:16]}"
    assert puts == [*FILES, "meta.json"], "meta.json, which says that the copy is whole, comes last"
    data = fetched(prepared, url, tmp_path / "cache")
    assert content(data.folder) == content(prepared.folder)
    assert gets == ([] if url.startswith("/") else FILES), "on a path that is shared, it is read where it is"
    publish(prepared, url)
    assert len(puts) == 5, "a whole copy is left as it is"


def test_a_second_fetch_reads_no_object(
    prepared: Prepared, bucket: str, nobody: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(prepared, bucket)
    fetched(prepared, bucket, tmp_path / "cache")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{nobody}")
    assert fetched(prepared, bucket, tmp_path / "cache").digest == prepared.digest


def test_a_copy_that_is_not_whole_is_completed(prepared: Prepared, url: str, tmp_path: Path, puts: list[str]) -> None:
    files, path = fsspec.core.url_to_fs(publish(prepared, url))
    files.rm_file(f"{path}/meta.json")
    assert "there is no whole copy" in message(lambda: fetched(prepared, url, tmp_path / "cache")) or url[0] == "/"
    publish(prepared, url)
    files.rm_file(f"{path}/val.npy")
    puts.clear()
    publish(prepared, url)
    assert puts == ["val.npy", "meta.json"]
    assert fetched(prepared, url, tmp_path / "cache").digest == prepared.digest


def test_a_changed_meta_replaces_the_old_one(prepared: Prepared, url: str, tmp_path: Path, puts: list[str]) -> None:
    publish(prepared, url)
    prepared.meta["decisions"] = ["none"]
    (prepared.folder / "meta.json").write_text(json.dumps(prepared.meta))
    puts.clear()
    publish(prepared, url)
    assert puts == ["meta.json"]
    assert fetched(prepared, url, tmp_path / "cache").meta["decisions"] == ["none"]


@pytest.mark.parametrize("tampered", ["train.npy", "meta.json", "not json"])
def test_a_tampered_object_is_refused(prepared: Prepared, bucket: str, tmp_path: Path, tampered: str) -> None:
    path = publish(prepared, bucket).removeprefix("s3://")
    meta = {**prepared.meta, "levels": 16}
    tampering = {
        "train.npy": ("train.npy", (prepared.folder / "train.npy").read_bytes()[:-1] + b"\x99"),
        "meta.json": ("meta.json", json.dumps(meta).encode()),
        "not json": ("meta.json", b"{"),
    }
    name, wrong = tampering[tampered]
    s3().pipe_file(f"{path}/{name}", wrong)
    text = message(lambda: fetched(prepared, bucket, tmp_path / "cache"))
    assert f"{bucket}/digits-{prepared.digest[:16]}/{name}: " in text
    assert ("is damaged" if name == "train.npy" else "describes other data") in text
    (folder,) = (tmp_path / "cache").glob("digits-*")
    assert not {path.name for path in folder.iterdir()} & {"meta.json", "train.npy"}


@pytest.mark.parametrize("names", [{"../evil.npy": "0"}, {"/etc/evil.npy": "0"}, ["train.npy"]])
def test_no_file_outside_the_folder_is_named(names: Any) -> None:
    assert _files(json.dumps({"files": names}).encode()) == {}


def test_an_interrupted_fetch_is_completed(
    prepared: Prepared, bucket: str, tmp_path: Path, gets: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(prepared, bucket)
    get = Folder.get

    def interrupted(self: Folder, name: str, path: Path) -> None:
        get(self, name, path)
        if name == "val.npy":
            shutil.copy(path, path.parent / ".val.npy.1.tmp")  # what a kill would leave behind
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Folder, "get", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fetched(prepared, bucket, tmp_path / "cache")
    gets.clear()
    data = fetched(prepared, bucket, tmp_path / "cache")
    assert gets == FILES[2:]
    assert content(data.folder) == content(prepared.folder)


def test_a_damaged_cache_is_fetched_again(prepared: Prepared, bucket: str, tmp_path: Path, gets: list[str]) -> None:
    publish(prepared, bucket)
    folder = fetched(prepared, bucket, tmp_path / "cache").folder
    (folder / "train.npy").write_bytes(b"damaged")
    gets.clear()
    assert content(fetched(prepared, bucket, tmp_path / "cache").folder) == content(prepared.folder)
    assert gets == ["train.npy"]
    (folder / "meta.json").write_text("{}")
    assert content(fetched(prepared, bucket, tmp_path / "cache").folder) == content(prepared.folder)


def test_of_several_that_want_it_one_fetches_it(
    prepared: Prepared, bucket: str, tmp_path: Path, gets: list[str]
) -> None:
    publish(prepared, bucket)
    found: list[Prepared] = []
    threads = [
        threading.Thread(target=lambda: found.append(fetched(prepared, bucket, tmp_path / "cache"))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and gets == FILES


# What can be wrong


def test_a_missing_bucket_is_said(prepared: Prepared, bucket: str, tmp_path: Path) -> None:
    text = f"data.publish: s3://nowhere/x/digits-{prepared.digest[:16]}: there is no such bucket or folder"
    assert message(lambda: publish(prepared, "s3://nowhere/x")) == text
    assert "no whole copy" in message(lambda: fetched(prepared, "s3://nowhere/x", tmp_path / "cache"))
    assert not s3().exists("nowhere"), "no bucket is made"


def test_an_endpoint_out_of_reach_is_said_and_not_waited_for(
    prepared: Prepared, environment: None, nobody: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "CONNECT_SECONDS", 0.5)
    monkeypatch.setattr(storage, "ANSWER_SECONDS", 0.5)
    with socket.socket() as silent:  # it takes connections and never answers
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        for endpoint, call in {
            f"http://{nobody}": lambda: publish(prepared, "s3://b/p"),
            f"http://127.0.0.1:{silent.getsockname()[1]}": lambda: fetched(prepared, "s3://b/p", tmp_path / "cache"),
        }.items():
            monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
            start = time.monotonic()
            text = message(call)
            assert (
                text.startswith(f"data.publish: s3://b/p/digits-{prepared.digest[:16]}: its endpoint ")
                and "AWS_ENDPOINT_URL" in text
            )
            assert time.monotonic() - start < HANGING


def test_missing_credentials_are_said(
    prepared: Prepared, server: str, environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert "no credentials were found; set AWS_ACCESS_KEY_ID" in message(lambda: publish(prepared, "s3://b/p"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    assert "half of the credentials is missing" in message(lambda: publish(prepared, "s3://b/p"))


def test_a_missing_package_is_said(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3", raising=False)
    text = message(lambda: publish(prepared, "s3://b/p"))
    assert (
        text == "data.publish: s3:// needs a package that is not installed: run `uv sync --extra s3`, "
        "or install genera[s3]"
    )
    assert "Protocol not known: nonsense" in message(lambda: publish(prepared, "nonsense://b/p"))


def test_credentials_in_a_url_are_never_shown(prepared: Prepared, nobody: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"ftp://me:{SECRET}@{nobody}/x?sig={SECRET}"
    assert message(lambda: publish(prepared, url)).startswith(f"data.publish: ftp://{nobody}/x/digits-")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    assert storage._clean(f"a\n b {SECRET} https://me:pw@host/", "s3://b") == "a b … https://…@host/"


def test_a_path_that_cannot_be_written_is_said(prepared: Prepared, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert message(lambda: publish(prepared, str(tmp_path / "file" / "x"))).startswith("data.publish: /")


def test_a_path_is_one_from_the_project_on(tmp_path: Path) -> None:
    assert storage.location("shared/data", tmp_path) == str(tmp_path / "shared/data")
    assert storage.location("/nfs/data", tmp_path) == "/nfs/data"
    assert storage.location("s3://b/p", tmp_path) == "s3://b/p"


# Jobs


def project(prepared: Prepared, publish: str | None) -> Project:
    """A project with that data, whose classifier is quickly trained."""
    data = {"source": "digits", "publish": publish}
    classifier = {"steps": 6, "batch_size": 12, "width": 2, "feature_dimensions": 4}
    params = Params.model_validate({"data": data, "entries": {}, "evaluate": {"classifier": classifier}})
    return Project(prepared.folder.parents[2], params)


def test_a_job_is_done_where_the_folder_is_not(prepared: Prepared, bucket: str) -> None:
    job, at_home = (
        classifier_job(project(prepared, bucket), prepared).sent(),
        classifier_job(project(prepared, None), prepared),
    )
    assert job.digest == at_home.digest, "where the data is read makes no difference"
    reports: list[list[dict[str, float]]] = [[], []]
    at_home(reports[0].append)
    state = at_home.folder.path
    assert state is not None
    shutil.rmtree(state)
    shutil.rmtree(prepared.folder)
    job(reports[1].append)
    assert reports[0] == reports[1] != []
    shutil.rmtree(state)
    assert "there is no such file; run `dvc repro`" in message(at_home)


def test_data_is_by_default_published_beside_the_checkpoints(prepared: Prepared, bucket: str) -> None:
    params = project(prepared, None).params
    cluster = params.cluster.model_copy(update={"storage": f"{bucket}/work"})
    at_home = Project(prepared.folder.parents[2], params.model_copy(update={"cluster": cluster}))
    job = classifier_job(at_home, prepared).sent()
    path = bucket.removeprefix("s3://")
    assert s3().exists(f"{path}/work/data/digits-{prepared.digest[:16]}/meta.json")
    shutil.rmtree(prepared.folder)
    job()
    (state,) = s3().ls(f"{path}/work/state")
    assert [name.rpartition("/")[2] for name in s3().ls(state)] == [
        *("owner-0000000001.json", "step-0000000006.safetensors")
    ], "checkpoints, and no folder of this machine"
    found = checkpoint.load(job.folder)
    assert found is not None and found[1]["state"]["finished"]


def test_a_job_is_not_trained_on_other_data(prepared: Prepared) -> None:
    here, digest = project(prepared, None), prepared.digest
    shutil.rmtree(prepared.folder)
    other = prepare(prepared.folder, seed=1)
    assert data_of(here, other.digest).digest == other.digest
    assert "holds other data than" in message(lambda: data_of(here, digest))


def test_a_machine_with_other_code_or_another_torch_says_so(
    prepared: Prepared, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = classifier_job(project(prepared, bucket), prepared).sent()
    monkeypatch.setattr("pipelines.training.origin.code_digest", lambda *_: "another")
    assert "runs other code than the process that started this" in message(job)
    monkeypatch.setattr(torch, "__version__", "1.0.0+cpu")
    assert "has torch 1.0.0, and the process that started this 2." in message(job)


@pytest.mark.slow
def test_two_workers_read_the_published_data(prepared: Prepared, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    job = classifier_job(project(prepared, bucket), prepared).sent()
    kept = prepared.folder.parent
    shutil.rmtree(prepared.folder)
    launch("features", "published", job, Cluster(workers=2, gpus_per_worker=0), kept)
    assert any(name.startswith("step-0000000006") for name in job.folder.names())
