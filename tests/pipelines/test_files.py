"""Files are whole or absent."""

from __future__ import annotations

import errno
import hashlib
import math
from pathlib import Path

import pytest

from pipelines.errors import UserError
from pipelines.files import file_digest, read_json, replacing, text_digest, write_json, write_text


class Interrupted(Exception):
    pass


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert names(tmp_path) == ["a.txt"]


def test_folders_are_made(tmp_path: Path) -> None:
    write_text(tmp_path / "some" / "where" / "a.txt", "σ")
    assert (tmp_path / "some" / "where" / "a.txt").read_bytes() == "σ".encode()


@pytest.mark.parametrize("old", ["old", None])
def test_a_failure_keeps_the_old_file_and_leaves_no_other(tmp_path: Path, old: str | None) -> None:
    path = tmp_path / "a.txt"
    if old is not None:
        path.write_text(old)

    def fail() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise Interrupted

    with pytest.raises(Interrupted):
        fail()
    assert names(tmp_path) == ([] if old is None else ["a.txt"])
    assert old is None or path.read_text() == old


def test_a_full_disk_keeps_the_old_file_and_leaves_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    monkeypatch.setattr("pipelines.files.unique_beside", lambda path: path.with_name("temporary"))
    (tmp_path / "temporary").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as caught:
        write_text(path, "new")
    assert caught.value.errno == errno.ENOSPC
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_what_was_not_written_replaces_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), replacing(path):
        pass
    assert path.read_text() == "old"


def test_json_comes_back_as_it_was(tmp_path: Path) -> None:
    value = {"name": "σ", "number": 0.1, "list": [1, None, True], "nested": {"a": -1e-300}}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value
    assert (tmp_path / "a.json").read_text().endswith("}\n")


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_json_without_numbers_that_json_has_not(tmp_path: Path, number: float) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"number": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"number": number})
    assert read_json(path) == {"number": 1}
    assert names(tmp_path) == ["a.json"]


def test_missing_json_says_how_to_make_it(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with pytest.raises(UserError) as caught:
        read_json(path)
    assert str(caught.value) == f"{path}: there is no such file; run `dvc repro` to make it"


@pytest.mark.parametrize("content", [b"", b'{"a": 1', b"\xff\xfe"], ids=["empty", "truncated", "encoding"])
def test_damaged_json_says_how_to_make_it_again(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_json(path)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{path}: is no JSON (")
    assert line.endswith("; delete it and run `dvc repro` to make it again")


def test_the_digest_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(range(256)) * 5000)
    assert file_digest(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_digest_of_texts_knows_where_one_ends() -> None:
    digests = [text_digest(), text_digest(""), text_digest("ab"), text_digest("a", "b"), text_digest("b", "a")]
    assert len(set(digests)) == len(digests)
    assert text_digest("a", "b") == text_digest("a", "b")
