"""Published data sets: verified by checksum, no network if the files are there, one line if it is missing."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import io
import pickle
import shutil
import socket
import struct
import tarfile
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from sklearn.datasets import load_digits
from torchvision import datasets

from pipelines.data.sources import celeba as celeba_module
from pipelines.data.sources.image_folder import Decoding

from .reading import examples, labels, prepared, refusal, shared, sorted_rows

RNG = np.random.default_rng(0)
FOLDERS = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "kmnist": "KMNIST"}


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Nothing may be downloaded; what was asked for."""
    asked: list[str] = []

    def refuse(*arguments: Any, **others: Any) -> None:
        asked.append(str(arguments[0]))
        raise urllib.error.URLError(OSError(-3, "Temporary failure in name resolution"))

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    return asked


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def idx(x: np.ndarray) -> bytes:
    """An array of bytes in the format of MNIST's files."""
    return struct.pack(f">BBBB{x.ndim}I", 0, 0, 8, x.ndim, *x.shape) + x.astype(np.uint8).tobytes()


@pytest.fixture
def digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Small files in the place of the real ones of MNIST, with checksums of their own."""
    x, y = load_digits().images.astype(np.uint8) * 15, load_digits().target
    parts = {"train": (x[:300], y[:300]), "t10k": (x[300:400], y[300:400])}
    raw = tmp_path / "data" / "raw" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, (images, numbers) in parts.items():
        (raw / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
        (raw / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(numbers)))
    resources = [(name, md5(raw / name)) for name, _ in datasets.MNIST.resources]
    monkeypatch.setattr(datasets.MNIST, "resources", resources)
    return parts


MNIST = {"source": "mnist", "path": "data/raw", "val_count": 50}


def raw(root: Path) -> Path:
    return root / "data" / "raw" / "MNIST" / "raw"


def test_files_that_are_there_are_taken(tmp_path: Path, digits: dict[str, Any], no_network: list[str]) -> None:
    data = prepared(tmp_path, **MNIST)
    x, y = digits["t10k"]
    assert examples(data, "test").tobytes() == x.tobytes() and np.array_equal(labels(data, "test"), y)
    both = np.concatenate([examples(data, "train"), examples(data, "val")])
    assert sorted_rows(both) == sorted_rows(digits["train"][0][:, None])
    assert data.meta["counts"] == {"train": 250, "val": 50, "test": 100}
    assert data.meta["class_names"] == [str(digit) for digit in range(10)]
    assert not no_network
    assert set(data.meta["checksums"]) == {f"MNIST/raw/{name}" for name, _ in datasets.MNIST.resources}
    again = prepared(tmp_path, **MNIST, name="again")
    assert again.digest == data.digest


@pytest.mark.parametrize("damage", ["changed", "truncated", "empty"])
@pytest.mark.parametrize("name", ["train-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"])
@pytest.mark.usefixtures("digits")
def test_a_wrong_checksum_names_the_file(tmp_path: Path, no_network: list[str], name: str, damage: str) -> None:
    path = raw(tmp_path) / name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    wrong = {"changed": bytes(content), "truncated": bytes(content[:-20]), "empty": b""}[damage]
    path.write_bytes(wrong)
    line = refusal(tmp_path, **MNIST)
    assert line.startswith(f"{path}: has the wrong checksum (MD5 {hashlib.md5(wrong).hexdigest()}, published ")
    assert path.read_bytes() == wrong and not no_network, "what the user put there stays"


@pytest.mark.usefixtures("digits")
def test_what_was_unpacked_is_unpacked_again(tmp_path: Path) -> None:
    """A run that was killed may have left half of a file."""
    data = prepared(tmp_path, **MNIST)
    path = raw(tmp_path) / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:1000])
    assert prepared(tmp_path, **MNIST, name="again").digest == data.digest


@pytest.mark.usefixtures("digits")
def test_unpacked_files_alone_are_taken_and_said_to_be_unverified(tmp_path: Path, no_network: list[str]) -> None:
    data = prepared(tmp_path, **MNIST)
    for path in raw(tmp_path).glob("*.gz"):
        path.unlink()
    again = prepared(tmp_path, **MNIST, name="again")
    assert again.meta["files"] == data.meta["files"] and not no_network
    assert sum("could not be verified" in sentence for sentence in again.meta["decisions"]) == 4
    path = raw(tmp_path) / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:1000])
    assert refusal(tmp_path, **MNIST).startswith("mnist: ") or "is damaged" in refusal(tmp_path, **MNIST)


@pytest.mark.parametrize("source", FOLDERS)
def test_a_missing_network_says_what_to_put_where(tmp_path: Path, no_network: list[str], source: str) -> None:
    line = refusal(tmp_path, **{**MNIST, "source": source})
    folder = FOLDERS[source]
    names = [f"{folder}/raw/{name}" for name, _ in getattr(datasets, folder).resources]
    assert line == (
        f"{source}: cannot be downloaded (no network?); put these files into {tmp_path / 'data' / 'raw'}: "
        + ", ".join(names)
    )
    assert no_network
    assert not [path for path in (tmp_path / "data").rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("source", "names"),
    [("cifar10", ["cifar-10-python.tar.gz"]), ("svhn", ["train_32x32.mat", "test_32x32.mat"])],
)
def test_other_sets_without_a_network(tmp_path: Path, source: str, names: list[str]) -> None:
    line = refusal(tmp_path, **{**MNIST, "source": source})
    assert line.endswith(f"put these files into {tmp_path / 'data' / 'raw'}: {', '.join(names)}")


@pytest.mark.usefixtures("digits")
def test_only_what_is_missing_is_named(tmp_path: Path) -> None:
    (raw(tmp_path) / "t10k-labels-idx1-ubyte.gz").unlink()
    assert refusal(tmp_path, **MNIST).endswith(f"{tmp_path / 'data' / 'raw'}: MNIST/raw/t10k-labels-idx1-ubyte.gz")
    assert len(list(raw(tmp_path).glob("*.gz"))) == 3


class Response(io.BytesIO):
    """What `urlopen` gives."""

    def __init__(self, content: bytes, url: str, fails: BaseException | None = None) -> None:
        super().__init__(content)
        self.length, self.url, self.fails = len(content), url, fails

    def read(self, size: int | None = -1) -> bytes:
        content = super().read(size)
        if not content and self.fails is not None:
            raise self.fails
        return content


@pytest.mark.usefixtures("digits")
def test_what_is_missing_is_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = prepared(tmp_path, **MNIST)
    path = raw(tmp_path) / "train-images-idx3-ubyte.gz"
    content = path.read_bytes()
    shutil.rmtree(tmp_path / "prepared")
    path.unlink()
    path.with_suffix("").unlink()

    def give(request: Any, *others: Any, **more: Any) -> Response:
        return Response(content, request.full_url)

    monkeypatch.setattr(urllib.request, "urlopen", give)
    assert prepared(tmp_path, **MNIST).digest == data.digest
    assert path.read_bytes() == content
    assert not [path for path in raw(tmp_path).iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    "failure",
    [
        ConnectionResetError(104, "Connection reset by peer"),
        TimeoutError("timed out"),
        http.client.IncompleteRead(b""),
        None,
    ],
)
@pytest.mark.usefixtures("digits")
def test_a_download_that_breaks_off_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException | None
) -> None:
    """Also if it ends as if it were whole."""
    path = raw(tmp_path) / "train-images-idx3-ubyte.gz"
    content = path.read_bytes()[:-100]
    path.unlink()

    def give(request: Any, *others: Any, **more: Any) -> Response:
        return Response(content, request.full_url, failure)

    monkeypatch.setattr(urllib.request, "urlopen", give)
    line = refusal(tmp_path, **MNIST)
    assert line.endswith(f"{tmp_path / 'data' / 'raw'}: MNIST/raw/{path.name}")
    assert not path.exists()


@pytest.mark.usefixtures("digits")
def test_a_download_that_was_killed_is_begun_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it left is removed, since a file stands there that says so; another wrong file is not."""
    data = prepared(tmp_path, **MNIST)
    path = raw(tmp_path) / "train-images-idx3-ubyte.gz"
    content = path.read_bytes()
    for each in (path, path.with_suffix("")):
        each.unlink()

    class Killed(BaseException):
        pass

    def give(request: Any, *others: Any, **more: Any) -> Response:
        return Response(content[:200], request.full_url, Killed())

    with monkeypatch.context() as patch:
        patch.setattr(urllib.request, "urlopen", give)
        patch.setattr("pipelines.data.sources.published._remove_partial", lambda *arguments: None)  # nobody cleans up
        with pytest.raises(Killed):
            prepared(tmp_path, **MNIST)
    assert path.exists() and path.read_bytes() != content
    monkeypatch.setattr(urllib.request, "urlopen", lambda request, *others: Response(content, request.full_url))
    assert prepared(tmp_path, **MNIST, name="again").digest == data.digest
    assert path.read_bytes() == content
    path.write_bytes(b"wrong")
    assert refusal(tmp_path, **MNIST).startswith(f"{path}: has the wrong checksum")


# CIFAR-10, SVHN, CelebA: small files


@pytest.fixture
def cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[np.ndarray, list[int]]]:
    folder = tmp_path / "data" / "raw"
    folder.mkdir(parents=True)
    batches = {name: (RNG.integers(0, 256, (40, 3, 32, 32), dtype=np.uint8), [*range(10)] * 4)
               for name in [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]}  # fmt: skip
    content = {name: pickle.dumps({"data": x.reshape(40, -1), "labels": y}) for name, (x, y) in batches.items()}
    content["batches.meta"] = pickle.dumps({"label_names": [f"thing {number}" for number in range(10)]})
    with tarfile.open(folder / "cifar-10-python.tar.gz", "w:gz") as archive:
        for name, data in content.items():
            about = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            about.size = len(data)
            archive.addfile(about, io.BytesIO(data))
    sums = {name: hashlib.md5(data).hexdigest() for name, data in content.items()}
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", md5(folder / "cifar-10-python.tar.gz"))
    monkeypatch.setattr(
        datasets.CIFAR10, "train_list", [[f"data_batch_{n}", sums[f"data_batch_{n}"]] for n in range(1, 6)]
    )
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    about = {"filename": "batches.meta", "key": "label_names", "md5": sums["batches.meta"]}
    monkeypatch.setattr(datasets.CIFAR10, "meta", about)
    return batches


def test_cifar10(tmp_path: Path, cifar: dict[str, Any], no_network: list[str]) -> None:
    given = {**MNIST, "source": "cifar10"}
    data = prepared(tmp_path, **given)
    assert examples(data, "test").tobytes() == cifar["test_batch"][0].tobytes()
    assert labels(data, "test").tolist() == cifar["test_batch"][1]
    train = np.concatenate([cifar[f"data_batch_{number}"][0] for number in range(1, 6)])
    both = np.concatenate([examples(data, "train"), examples(data, "val")])
    assert sorted_rows(both) == sorted_rows(train)
    assert data.meta["class_names"][3] == "thing 3" and data.meta["channels"] == "rgb"
    folder = tmp_path / "data" / "raw"
    (folder / "cifar-10-batches-py" / "data_batch_2").write_bytes(b"an evil pickle")
    assert prepared(tmp_path, **given, name="again").digest == data.digest, "unpacked again"
    content = (folder / "cifar-10-python.tar.gz").read_bytes()
    (folder / "cifar-10-python.tar.gz").unlink()
    assert prepared(tmp_path, **given, name="third").digest == data.digest, "the verified batches do"
    (folder / "cifar-10-batches-py" / "data_batch_2").write_bytes(b"an evil pickle")
    assert not no_network
    assert "cannot be downloaded" in refusal(tmp_path, **given)
    (folder / "cifar-10-python.tar.gz").write_bytes(content[: len(content) // 2])
    line = refusal(tmp_path, **given)
    assert line.startswith(f"{folder / 'cifar-10-python.tar.gz'}: has the wrong checksum")


def test_svhn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_network: list[str]) -> None:
    folder = tmp_path / "data" / "raw"
    folder.mkdir(parents=True)
    split_list, x = {}, {}
    for split, count in (("train", 100), ("test", 40)):
        x[split] = RNG.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
        y = np.arange(count, dtype=np.uint8)[:, None] % 10 + 1  # 10 stands for 0
        savemat(folder / f"{split}_32x32.mat", {"X": x[split].transpose(2, 3, 1, 0), "y": y})
        name = f"{split}_32x32.mat"
        split_list[split] = [f"http://none/{name}", name, md5(folder / name)]
    monkeypatch.setattr(datasets.SVHN, "split_list", {**split_list, "extra": ["http://none/extra", "extra.mat", "0"]})
    data = prepared(tmp_path, **{**MNIST, "source": "svhn", "val_count": 20})
    assert examples(data, "test").tobytes() == x["test"].tobytes() and not no_network
    assert labels(data, "test").tolist() == [(number % 10 + 1) % 10 for number in range(40)]
    assert data.event.shape == (3, 32, 32) and data.meta["class_names"][0] == "0"
    (folder / "test_32x32.mat").write_bytes(b"text")
    line = refusal(tmp_path, **{**MNIST, "source": "svhn"})
    assert line.startswith(f"{folder / 'test_32x32.mat'}: has the wrong checksum")


@pytest.fixture
def faces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve small faces of 178×218: six for training, three each for val and test."""
    folder = tmp_path / "data" / "raw" / "celeba"
    folder.mkdir(parents=True)
    names = [f"{number:06d}.jpg" for number in range(1, 13)]
    with zipfile.ZipFile(folder / "img_align_celeba.zip", "w") as archive:
        for number, name in enumerate(names):
            buffer = io.BytesIO()
            small = np.random.default_rng(number).integers(0, 256, (11, 9, 3), dtype=np.uint8)
            Image.fromarray(small).resize((178, 218)).save(buffer, "JPEG")
            archive.writestr(f"img_align_celeba/{name}", buffer.getvalue())
    splits = [0] * 6 + [1] * 3 + [2] * 3
    lines = {
        "list_eval_partition.txt": [f"{name} {split}" for name, split in zip(names, splits, strict=True)],
        "list_attr_celeba.txt": [
            "12",
            "Male Smiling ",
            *(f"{name} {-1} {1 if n % 2 else -1}" for n, name in enumerate(names)),
        ],
        "identity_CelebA.txt": [f"{name} 7" for name in names],
        "list_bbox_celeba.txt": ["12", "image_id x", *(f"{name} 1" for name in names)],
        "list_landmarks_align_celeba.txt": ["12", "x", *(f"{name} 1" for name in names)],
    }
    for name, rows in lines.items():
        (folder / name).write_text("\n".join(rows) + "\n")
    listed = [(key, md5(folder / name), name) for key, _, name in datasets.CelebA.file_list]
    monkeypatch.setattr(datasets.CelebA, "file_list", listed)
    return folder


CELEBA = {"source": "celeba", "path": "data/raw", "size": 16}


def test_celeba(tmp_path: Path, faces: Path, no_network: list[str]) -> None:
    data = prepared(tmp_path, **CELEBA, attribute="Smiling")
    assert data.meta["counts"] == {"train": 6, "val": 3, "test": 3} and data.event.shape == (3, 16, 16)
    assert data.meta["class_names"] == ["not Smiling", "Smiling"] and not no_network
    assert labels(data, "train").tolist() == [0, 1, 0, 1, 0, 1] and labels(data, "test").tolist() == [1, 0, 1]
    path = faces / "img_align_celeba" / "000010.jpg"
    face = Image.open(path).crop((15, 40, 163, 188)).resize((16, 16), Image.Resampling.LANCZOS)
    assert np.array_equal(examples(data, "test")[0], np.asarray(face).transpose(2, 0, 1))
    assert np.array_equal(Decoding("rgb", (16, 16), box=(15, 40, 163, 188))(path), examples(data, "test")[0])
    assert prepared(tmp_path, **CELEBA, name="plain").meta["class_names"] == []
    line = refusal(tmp_path, **CELEBA, attribute="Laughing")
    assert line == "params.yaml: data.attribute: 'Laughing' is not allowed: must be one of Male, Smiling"
    (faces / "img_align_celeba.zip").unlink()
    again = prepared(tmp_path, **CELEBA, name="unpacked")
    assert again.meta["files"] == prepared(tmp_path, **CELEBA, name="plain").meta["files"] and not no_network


def test_celeba_is_unpacked_whole_or_not_at_all(tmp_path: Path, faces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(self: zipfile.ZipFile, path: Path) -> None:
        self.extract(self.namelist()[0], path)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(zipfile.ZipFile, "extractall", killed)
        with pytest.raises(KeyboardInterrupt):
            prepared(tmp_path, **CELEBA)
    assert not (faces / "img_align_celeba").exists()
    left = faces / ".img_align_celeba.zip.unpacking" / "img_align_celeba"  # as a run leaves it that is killed outright
    left.mkdir(parents=True)
    assert prepared(tmp_path, **CELEBA).meta["counts"]["train"] == 6
    assert not left.parent.exists()


def test_celeba_with_faces_missing_or_damaged(tmp_path: Path, faces: Path) -> None:
    prepared(tmp_path, **CELEBA, name="first")
    path = faces / "img_align_celeba" / "000002.jpg"
    path.write_bytes(path.read_bytes()[:300])
    assert refusal(tmp_path, **CELEBA).startswith(f"1 image files cannot be read: {path} (")
    path.unlink()
    assert refusal(tmp_path, **CELEBA).startswith(f"1 image files cannot be read: {path} (")
    (faces / "list_attr_celeba.txt").write_text("text")
    assert refusal(tmp_path, **CELEBA).startswith(f"{faces / 'list_attr_celeba.txt'}: has the wrong checksum")


def test_celeba_without_a_network(tmp_path: Path, faces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(identifier: str, folder: Path, name: str, md5: str) -> None:
        raise RuntimeError("To download files from GDrive, 'gdown' is required.")

    monkeypatch.setattr(celeba_module, "download_file_from_google_drive", refuse)
    (faces / "identity_CelebA.txt").unlink()
    line = refusal(tmp_path, **CELEBA)
    assert line.endswith(f"put these files into {tmp_path / 'data' / 'raw'}: celeba/identity_CelebA.txt")
    shutil.rmtree(faces)
    line = refusal(tmp_path, **CELEBA)
    assert "celeba/img_align_celeba.zip, celeba/list_attr_celeba.txt, celeba/identity_CelebA.txt" in line


# Real data


@pytest.mark.parametrize(("source", "folder"), [("mnist", "mnist"), ("fashion_mnist", "fashion-mnist")])
def test_the_real_files(tmp_path: Path, no_network: list[str], source: str, folder: str) -> None:
    real = shared(folder)
    place = tmp_path / "data" / "raw" / FOLDERS[source] / "raw"
    place.mkdir(parents=True)
    for path in real.glob("*.gz"):
        (place / path.name).symlink_to(path)
    data = prepared(tmp_path, **{**MNIST, "source": source, "val_count": 5000})
    assert data.meta["counts"] == {"train": 55_000, "val": 5000, "test": 10_000} and not no_network
    for part, splits in (("t10k", ["test"]), ("train", ["train", "val"])):
        pixels = gzip.decompress((real / f"{part}-images-idx3-ubyte.gz").read_bytes())[16:]
        numbers = np.frombuffer(gzip.decompress((real / f"{part}-labels-idx1-ubyte.gz").read_bytes())[8:], np.uint8)
        whole = np.frombuffer(pixels, np.uint8).reshape(-1, 784)
        x = np.concatenate([examples(data, split).reshape(-1, 784) for split in splits])
        y = np.concatenate([labels(data, split) for split in splits])
        if part == "t10k":
            assert np.array_equal(x, whole) and np.array_equal(y, numbers)
        else:
            assert sorted_rows(np.c_[x, y.astype(np.uint8)]) == sorted_rows(np.c_[whole, numbers])
            counts = np.bincount(numbers)
            assert abs(np.array(data.meta["class_counts"]["val"]) - counts / 12).max() < 1
    assert data.meta["class_names"][0] == ("0" if source == "mnist" else "T-shirt/top")
    assert all(path.is_symlink() for path in place.glob("*.gz"))
