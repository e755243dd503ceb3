"""Recordings: their samples as levels, at the wanted rate, cut into windows that never part from each other."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from pydantic import ValidationError

from pipelines.data.quantisation import Encoding, decode, encode
from pipelines.data.sources import audio, parallel
from pipelines.data.sources.audio import cut

from .reading import everything, examples, labels, prepared, refusal, settings, shared, sorted_rows

RATE = 8000
AUDIO = {"source": "audio", "path": "sounds", "val_count": 3, "test_count": 3, "window": 100, "labels": None}


def wave(number: int, length: int = 1000) -> np.ndarray:
    rng = np.random.default_rng(number)
    return np.sin(np.arange(length) * rng.uniform(0.1, 1)) * rng.uniform(0.3, 0.9)


def save(root: Path, name: str, x: np.ndarray, rate: int = RATE, subtype: str | None = None) -> Path:
    path = root / "sounds" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = "OGG" if path.suffix == ".opus" else None
    soundfile.write(path, x, rate, "OPUS" if kind else subtype, format=kind)
    return path


def recordings(root: Path, count: int = 12, length: int = 1000, suffix: str = ".wav", **how: Any) -> None:
    for number in range(count):
        save(root, f"{number:02d}{suffix}", wave(number, length), **how)


@pytest.mark.parametrize("encoding", ["mu_law", "linear"])
@pytest.mark.parametrize(
    ("suffix", "subtype"),
    [(".wav", "PCM_U8"), (".wav", "PCM_16"), (".WAV", "PCM_24"), (".wav", "PCM_32"), (".wav", "FLOAT"),
     (".wav", "DOUBLE"), (".flac", "PCM_16"), (".flac", "PCM_24")],
)  # fmt: skip
@pytest.mark.parametrize("levels", [256, 16])
def test_windows_are_the_samples_as_levels(
    tmp_path: Path, suffix: str, subtype: str, encoding: Encoding, levels: int
) -> None:
    recordings(tmp_path, suffix=suffix, subtype=subtype)
    data = prepared(tmp_path, **AUDIO, encoding=encoding, levels=levels)
    expected = []
    for path in sorted((tmp_path / "sounds").iterdir()):
        samples, rate = soundfile.read(path, dtype="float32")
        assert rate == RATE
        expected.append(encode(samples, levels, encoding).reshape(10, 1, 100))
    assert sorted_rows(everything(data)) == sorted_rows(np.concatenate(expected))
    assert data.event.shape == (1, 100) and data.event.levels == levels
    about = {key: data.meta[key] for key in ("kind", "channels", "sample_rate", "encoding", "range")}
    assert about == {
        "kind": "sequence",
        "channels": "audio",
        "sample_rate": RATE,
        "encoding": encoding,
        "range": [-1, 1],
    }
    assert data.meta["counts"] == {"train": 60, "val": 30, "test": 30}


def test_levels_of_256_are_within_half_a_step(tmp_path: Path) -> None:
    recordings(tmp_path)
    data = prepared(tmp_path, **AUDIO, encoding="linear")
    whole = np.concatenate([wave(number).reshape(10, 100) for number in range(12)])
    back = decode(examples(data, "train")[:, 0], 256, "linear")
    assert max(abs(whole - row).max(1).min() for row in back) <= 1 / 256 + 2 / 32768


def test_no_window_of_a_recording_is_in_two_splits(tmp_path: Path) -> None:
    for number in range(12):
        save(tmp_path, f"{number:02d}.wav", np.full(1000 + 130 * number, (number - 5.5) / 6))
    data = prepared(tmp_path, **AUDIO, hop=30, encoding="linear", levels=12, short="drop")
    of = {split: set(examples(data, split)[:, 0, 0].tolist()) for split in ("train", "val", "test")}
    assert sorted(number for found in of.values() for number in found) == list(range(12))
    assert [len(found) for found in of.values()] == [6, 3, 3]
    windows = [1 + (1000 + 130 * number - 100) // 30 for number in range(12)]
    assert data.meta["counts"] == {split: sum(windows[number] for number in found) for split, found in of.items()}


def test_official_test_recordings_are_kept(tmp_path: Path) -> None:
    recordings(tmp_path)
    data = prepared(tmp_path, **{**AUDIO, "test_count": None}, test_files=r"0[25]\.wav$")
    expected = np.concatenate([soundfile.read(tmp_path / "sounds" / f"0{number}.wav")[0] for number in (2, 5)])
    assert examples(data, "test").tobytes() == encode(expected, 256, "mu_law").tobytes()
    assert data.meta["counts"] == {"train": 70, "val": 30, "test": 20}


def test_labels_stay_with_their_recordings(tmp_path: Path) -> None:
    for number in range(18):
        save(tmp_path, f"{'abc'[number % 3]}/{number}.wav", np.full(100 + 50 * number, (number % 3 + 0.5) / 4))
    data = prepared(tmp_path, **{**AUDIO, "labels": "folders"}, encoding="linear", levels=8, short="drop")
    assert data.meta["class_names"] == ["a", "b", "c"]
    for split in ("train", "val", "test"):
        assert np.array_equal(examples(data, split)[:, 0, 0], labels(data, split) + 4)
        assert set(labels(data, split)) == {0, 1, 2}
    named = prepared(tmp_path, **{**AUDIO, "labels": r"([ab c])/"}, name="named")
    assert named.meta["class_counts"]["train"] != [] and named.meta["class_names"] == ["a", "b", "c"]


@pytest.mark.parametrize(("was", "wanted"), [(16000, 8000), (44100, 8000), (8000, 22050)])
@pytest.mark.parametrize("block", [1 << 18, 1000])
def test_resampling_keeps_the_pitch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, was: int, wanted: int, block: int
) -> None:
    monkeypatch.setattr(audio, "BLOCK", block)
    tones = {number: 300.0 + 200 * number for number in range(4)}
    for number, tone in tones.items():
        save(tmp_path, f"{number}.wav", 0.7 * np.sin(2 * np.pi * tone * np.arange(was) / was), was)
    given = {**AUDIO, "val_count": 1, "test_count": 1, "window": wanted, "sample_rate": wanted, "encoding": "linear"}
    data = prepared(tmp_path, **given)
    assert sum(data.meta["counts"].values()) == 4, "a second stays a second"
    found = []
    for x in decode(everything(data)[:, 0], 256, "linear"):
        spectrum = abs(np.fft.rfft(x * np.hanning(wanted)))
        found.append(float(spectrum.argmax()))
        assert abs(x[wanted // 4 : -wanted // 4]).max() == pytest.approx(0.7, abs=0.02)
    assert sorted(found) == list(tones.values())
    assert f"4 recordings were resampled from {was:,} to {wanted:,} Hz." in data.meta["decisions"]


def test_frequencies_that_the_new_rate_cannot_hold_are_silent(tmp_path: Path) -> None:
    for number in range(3):
        save(tmp_path, f"{number}.wav", 0.9 * np.sin(2 * np.pi * 6000 * np.arange(16000) / 16000), 16000)
    data = prepared(tmp_path, **{**AUDIO, "val_count": 1, "test_count": 1, "window": 8000}, encoding="linear")
    assert abs(decode(everything(data)[:, 0, 1000:-1000], 256, "linear")).max() < 0.01


def test_the_size_of_a_block_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recordings(tmp_path, length=2048)
    one = prepared(tmp_path, **AUDIO)
    monkeypatch.setattr(audio, "BLOCK", 512)
    assert prepared(tmp_path, **AUDIO, name="many").meta["files"] == one.meta["files"]


def test_stereo_is_refused_or_mixed(tmp_path: Path) -> None:
    recordings(tmp_path, 6)
    both = np.stack([wave(1), -wave(2) / 2], 1)
    path = save(tmp_path, "z.wav", both, subtype="FLOAT")
    given = {**AUDIO, "val_count": 1, "test_count": 1}
    line = refusal(tmp_path, **given)
    reason = "has 2 channels where one is demanded"
    assert line == f"1 audio files cannot be read: {path} ({reason}); set data.stereo to mix"
    data = prepared(tmp_path, **given, stereo="mix")
    mono = encode(both.astype(np.float32).mean(1), 256, "mu_law").reshape(10, 1, 100)
    assert set(sorted_rows(mono)) <= set(sorted_rows(everything(data)))
    assert "1 recordings with several channels were mixed to one." in data.meta["decisions"]


def test_samples_beyond_full_scale_are_clipped_and_counted(tmp_path: Path) -> None:
    recordings(tmp_path, 6)
    loud = wave(1)
    loud[5:12] = 1.5
    save(tmp_path, "z.wav", loud, subtype="FLOAT")
    data = prepared(tmp_path, **{**AUDIO, "val_count": 1, "test_count": 1})
    assert any(sentence.startswith("7 samples beyond full scale") for sentence in data.meta["decisions"])


def test_many_recordings_are_read_by_several_processes_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_cores", lambda: 2)
    recordings(tmp_path, 210, length=333)
    many = prepared(tmp_path, **AUDIO)
    monkeypatch.setattr(parallel, "FEW", 1000)
    one = prepared(tmp_path, **AUDIO, name="one")
    assert one.meta["files"] == many.meta["files"] and one.meta["decisions"] == many.meta["decisions"]


# Windows


@pytest.mark.parametrize("pad", [True, False])
@pytest.mark.parametrize("window", [1, 4, 10])
@pytest.mark.parametrize("hop", [1, 3, 4, 7, 25])
@pytest.mark.parametrize("length", [0, 1, 3, 4, 10, 11, 20, 57])
def test_windows_start_every_hop(length: int, hop: int, window: int, pad: bool) -> None:
    x = np.arange(1, length + 1)
    windows, left_over = cut(x, window, hop, pad, 0)
    full = [x[start : start + window] for start in range(0, length - window + 1, hop)]
    assert [row.tolist() for row in windows[: len(full)]] == [row.tolist() for row in full]
    assert windows.shape[1:] == (window,) and windows.flags.c_contiguous
    start = len(full) * hop
    rest = length - (start - hop + window if full else 0) if start < length else 0
    assert left_over == rest
    if pad and rest:
        assert windows[-1].tolist() == [*x[start : start + window], *[0] * (window - len(x[start : start + window]))]
        assert len(windows) == len(full) + 1
    else:
        assert len(windows) == len(full)
    if pad and hop <= window:
        assert set(windows.reshape(-1)) >= set(x.tolist()), "no sample is lost"


def test_ends_are_padded_with_silence_or_dropped(tmp_path: Path) -> None:
    recordings(tmp_path, length=250)
    save(tmp_path, "z.wav", wave(99, 60))
    padded = prepared(tmp_path, **AUDIO)
    assert sum(padded.meta["counts"].values()) == 12 * 3 + 1
    assert "The last window of 13 recordings was filled with silence." in padded.meta["decisions"]
    ends = [x[0, 50:] for x in everything(padded) if (x[0, 60:] == 128).all()]
    assert len(ends) == 13 and sum((x == 128).all() for x in ends) >= 12
    dropped = prepared(tmp_path, **AUDIO, short="drop", name="dropped")
    assert sum(dropped.meta["counts"].values()) == 12 * 2
    said = dropped.meta["decisions"]
    assert "The ends of 13 recordings, shorter than a window, were dropped." in said
    assert "1 recordings gave no window: z.wav." in said
    line = refusal(tmp_path, **{**AUDIO, "window": 251}, short="drop")
    assert line == "no recording is as long as a window of 251 samples: lower data.window, or pad"


# What is refused


def unreadable(path: Path, reason: str) -> str:
    what = f"1 audio files cannot be read: {path} ({reason})"
    return f"{what}; mend or remove them, or set data.corrupt to skip"


def test_zero_length(tmp_path: Path) -> None:
    recordings(tmp_path)
    path = save(tmp_path, "05.wav", np.zeros(0))
    assert refusal(tmp_path, **AUDIO) == unreadable(path, "is of zero length")


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3", ".opus", ".aiff"])
@pytest.mark.parametrize("kept", [0.5, 0.98, 0.01])
def test_truncated_recordings(tmp_path: Path, suffix: str, kept: float) -> None:
    recordings(tmp_path, length=20000, suffix=suffix)
    path = tmp_path / "sounds" / f"05{suffix}"
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    line = refusal(tmp_path, **AUDIO)
    assert line.startswith(f"1 audio files cannot be read: {path} (")


def test_a_wav_whose_writer_could_not_tell_its_length_is_read(tmp_path: Path) -> None:
    """As those that come from a pipe: their header promises all that it can."""
    recordings(tmp_path)
    path = tmp_path / "sounds" / "05.wav"
    content = bytearray(path.read_bytes())
    place = content.index(b"data") + 4
    content[place : place + 4] = b"\xff\xff\xff\xff"
    path.write_bytes(content)
    assert sum(prepared(tmp_path, **AUDIO).meta["counts"].values()) == 120


@pytest.mark.parametrize("content", [b"", b"RIFF", b"no sound at all\n\n" * 10])
def test_files_that_are_no_recordings(tmp_path: Path, content: bytes) -> None:
    recordings(tmp_path)
    path = tmp_path / "sounds" / "05.wav"
    path.write_bytes(content)
    assert refusal(tmp_path, **AUDIO).startswith(f"1 audio files cannot be read: {path} (is ")


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("rate", [8000, 16000])
def test_samples_that_are_no_numbers(tmp_path: Path, value: float, rate: int) -> None:
    recordings(tmp_path)
    x = wave(5)
    x[500] = value
    path = save(tmp_path, "05.wav", x, rate, "FLOAT")
    assert refusal(tmp_path, **AUDIO) == unreadable(path, "holds NaN or infinite samples")


def test_no_recordings(tmp_path: Path) -> None:
    assert refusal(tmp_path, **AUDIO).startswith(f"params.yaml: data.path: {tmp_path / 'sounds'}: does not exist")
    (tmp_path / "sounds").mkdir()
    (tmp_path / "sounds" / "._0.wav").write_bytes(b"of macOS")
    line = refusal(tmp_path, **AUDIO)
    assert line.startswith(f"params.yaml: data.path: {tmp_path / 'sounds'}: holds no .wav, .flac, .ogg, ")


def test_a_speaker_with_one_recording_is_named(tmp_path: Path) -> None:
    for number in range(8):
        save(tmp_path, f"anna/{number}.wav", wave(number))
    save(tmp_path, "ben/0.wav", wave(9))
    line = refusal(tmp_path, **{**AUDIO, "labels": "folders"})
    assert line.startswith("audio: class 'ben' has 1 recordings: it needs 3 or more, one for each split")


# Real data


def test_spoken_digits(tmp_path: Path) -> None:
    """Some real recordings, with the official test split, in windows of half a second."""
    with zipfile.ZipFile(shared("fsdd") / "fsdd_recordings.zip") as archive:
        names = [name for name in archive.namelist() if name.endswith(("_0.wav", "_7.wav", "_31.wav", "_40.wav"))]
        archive.extractall(tmp_path, names)
    (found,) = {str(Path(name).parent) for name in names}
    given = {"window": 4000, "labels": r"(\d)_[a-z]+_\d+\.wav$", "test_files": r"_[0-4]\.wav$", "val_count": 30}
    data = prepared(tmp_path, source="audio", path=found, **given)
    paths = sorted((tmp_path / found).glob("*.wav"))
    expected, numbers = [], []
    for path in paths:
        if path.stem.endswith("_0"):
            samples, _ = soundfile.read(path, dtype="float32")
            rest = -len(samples) % 4000
            expected.append(np.concatenate([encode(samples, 256, "mu_law"), np.full(rest, 128)]).reshape(-1, 1, 4000))
            numbers += [int(path.name[0])] * len(expected[-1])
    assert len(paths) == len(names) and len(expected) >= 60
    assert np.array_equal(examples(data, "test"), np.concatenate(expected))
    assert labels(data, "test").tolist() == numbers
    assert data.meta["class_names"] == [str(digit) for digit in range(10)]
    assert set(data.meta["duplicates"].values()) == {0}


# What is done to a recording as a whole


def shouted(quiet: int, loud: int, amplitude: float = 0.5) -> np.ndarray:
    """Near silence, a tone, and near silence again."""
    hush = 1e-3 * np.sin(np.arange(quiet))
    return np.concatenate([hush, amplitude * np.sin(0.7 * np.arange(loud)), hush])


def test_silence_at_both_ends_is_left_out(tmp_path: Path) -> None:
    for number in range(12):
        save(tmp_path, f"{number:02d}.wav", shouted(1000 + 10 * number, 500), subtype="FLOAT")
    data = prepared(tmp_path, **{**AUDIO, "window": 500}, trim=-20.0, hop=10_000, encoding="linear")
    assert len(everything(data)) == 12, "one window of each, whatever comes before the onset"
    margin = round(audio.MARGIN * RATE)
    for x in everything(data)[:, 0]:
        loud = np.flatnonzero(np.abs(x.astype(int) - 127.5) > 6)
        assert margin - 3 <= loud[0] <= margin + 3
    kept = 500 + 2 * margin
    gone = sum(2 * (1000 + 10 * number) + 500 - kept for number in range(12)) / RATE
    said = " ".join(data.meta["decisions"])
    assert f"20 dB below the peak, was left out: {gone:,.1f} s in all" in said


def test_recordings_are_made_equally_loud(tmp_path: Path) -> None:
    for number in range(12):
        save(tmp_path, f"{number:02d}.wav", shouted(0, 100, 0.05 * (number + 1)), subtype="FLOAT")
    data = prepared(tmp_path, **AUDIO, normalise=0.5, encoding="linear")
    peaks = np.abs(decode(everything(data), 256, "linear")).max((1, 2))
    np.testing.assert_allclose(peaks, 0.5, atol=1 / 256)
    assert "its peak is 0.5" in " ".join(data.meta["decisions"])


def test_silence_can_neither_be_trimmed_nor_made_louder(tmp_path: Path) -> None:
    for number in range(12):
        save(tmp_path, f"{number:02d}.wav", np.zeros(100), subtype="FLOAT")
    data = prepared(tmp_path, **AUDIO, normalise=0.5, trim=-20.0)
    assert len(np.unique(everything(data))) == 1


def test_dither_is_white_noise_in_the_padding_too_and_the_same_each_time(tmp_path: Path) -> None:
    for number in range(12):
        save(tmp_path, f"{number:02d}.wav", np.zeros(3000), subtype="FLOAT")
    options = {**AUDIO, "window": 4000, "dither": 0.05, "encoding": "linear"}
    first, again = (prepared(tmp_path, **options, name=name) for name in ("a", "b"))
    x = decode(everything(first), 256, "linear")[:, 0]
    assert x.std() == pytest.approx(0.05, rel=0.05) and x[:, 3000:].std() == pytest.approx(0.05, rel=0.05)
    assert abs(np.corrcoef(x[:, :-1].ravel(), x[:, 1:].ravel())[0, 1]) < 0.03
    assert abs(np.corrcoef(x[0], x[1])[0, 1]) < 0.1, "each recording has noise of its own"
    assert np.array_equal(everything(first), everything(again))
    assert "root mean square of 0.05" in " ".join(first.meta["decisions"])


@pytest.mark.parametrize(("option", "value"), [("trim", 3.0), ("normalise", 1.5), ("normalise", 0.0), ("dither", -0.1)])
def test_options_of_whole_recordings_are_validated(option: str, value: float) -> None:
    with pytest.raises(ValidationError, match=option):
        settings(**AUDIO, **{option: value})


# Recordings as they come


def bad(root: Path) -> list[str]:
    """Recordings that cannot be read, each for another reason, and why."""
    folder = root / "sounds"
    (folder / "a.wav").write_bytes(b"")
    (folder / "b.flac").write_text("no sound at all")
    save(root, "c.wav", np.zeros(0))
    save(root, "d.wav", np.full(500, np.nan), subtype="FLOAT")
    content = save(root, "e.wav", wave(1, 20000)).read_bytes()
    (folder / "e.wav").write_bytes(content[:20000])
    return [
        "is empty",
        "is no recording, or damaged: Format not recognised",
        "is of zero length",
        "holds NaN",
        "is truncated",
    ]


def test_recordings_that_cannot_be_read_are_listed_together_or_skipped(tmp_path: Path) -> None:
    recordings(tmp_path)
    reasons = bad(tmp_path)
    line = refusal(tmp_path, **AUDIO)
    assert line.startswith("5 audio files cannot be read: ") and line.endswith("or set data.corrupt to skip")
    assert [line.count(reason) for reason in reasons] == [1, 1, 1, 1, 1]
    data = prepared(tmp_path, **AUDIO, corrupt="skip")
    assert sum(data.meta["counts"].values()) == 120
    (said,) = [sentence for sentence in data.meta["decisions"] if "cannot be read" in sentence]
    assert said.startswith("5 files that cannot be read were skipped: ")
    assert data.meta["decisions"][0].startswith("12 recordings were cut")


def test_labels_stay_with_their_recordings_when_others_are_skipped(tmp_path: Path) -> None:
    for number in range(18):
        save(tmp_path, f"{number:02d}_{number % 3}.wav", np.full(200, (number % 3 + 0.5) / 4))
    for name in ("00_1.wav", "07_0.wav", "99_3.wav"):
        (tmp_path / "sounds" / name).write_bytes(b"")
    given = {**AUDIO, "labels": r"_(\d)", "encoding": "linear", "levels": 8, "corrupt": "skip"}
    data = prepared(tmp_path, **given)
    assert data.meta["class_names"] == ["0", "1", "2"]
    for split in ("train", "val", "test"):
        assert np.array_equal(examples(data, split)[:, 0, 0], labels(data, split) + 4)
    assert "Nothing is left of 1 classes, which are none now: 3." in data.meta["decisions"]


@pytest.mark.parametrize(("name", "reason"), [("z.mp3", "is no recording, or damaged)"), ("z.wav", "is no file)")])
def test_the_reason_is_the_real_one(tmp_path: Path, name: str, reason: str) -> None:
    recordings(tmp_path)
    path = tmp_path / "sounds" / name
    if "file" in reason:
        path.symlink_to(tmp_path / "nowhere.wav")
    else:
        path.write_bytes(b"no sound" * 100)
    assert reason in refusal(tmp_path, **AUDIO)


def test_a_class_that_is_the_only_one_left_is_no_label(tmp_path: Path) -> None:
    for number in range(8):
        save(tmp_path, f"anna/{number}.wav", wave(number, 300))
    save(tmp_path, "ben/0.wav", wave(9, 50))
    data = prepared(tmp_path, **{**AUDIO, "labels": "folders", "val_count": 1, "test_count": 1}, short="drop")
    assert data.meta["class_names"] == []
    assert "Nothing is left of 1 classes, which are none now: ben." in data.meta["decisions"]
    assert "All are of one class, anna: there are no labels." in data.meta["decisions"]


def test_nothing_that_can_be_heard(tmp_path: Path) -> None:
    (tmp_path / "sounds").mkdir()
    for number in range(8):
        (tmp_path / "sounds" / f"{number}.wav").write_bytes(b"RIFF")
    for corrupt in ("refuse", "skip"):
        assert refusal(tmp_path, **AUDIO, corrupt=corrupt).startswith("none of the 8 audio files can be read: ")


def test_recordings_of_several_channels_are_listed_together(tmp_path: Path) -> None:
    recordings(tmp_path, 6)
    for number in range(7):
        save(tmp_path, f"z{number}.wav", np.stack([wave(1), wave(2)], 1))
    for corrupt in ("refuse", "skip"):  # they are whole
        line = refusal(tmp_path, **AUDIO, corrupt=corrupt)
        assert line.startswith("7 audio files cannot be read: ") and line.endswith("and 2 more; set data.stereo to mix")


@pytest.mark.parametrize("suffix", [".mp3", ".opus", ".oga", ".aiff", ".aif", ".AIFF"])
def test_other_endings_of_sound(tmp_path: Path, suffix: str) -> None:
    for number in range(12):
        path = tmp_path / "sounds" / f"{number:02d}{suffix}"
        path.parent.mkdir(exist_ok=True)
        kind, subtype = {"o": ("OGG", "VORBIS"), "a": ("AIFF", None), "m": ("MP3", None)}[suffix[1].lower()]
        soundfile.write(path, wave(number, 2000), RATE, "OPUS" if suffix == ".opus" else subtype, format=kind)
    expected = []
    for path in sorted((tmp_path / "sounds").iterdir()):
        samples, _ = soundfile.read(path, dtype="float32")
        expected.append(encode(samples[:2000], 256, "mu_law").reshape(-1, 1, 100))
    data = prepared(tmp_path, **AUDIO)
    assert sorted_rows(everything(data)) == sorted_rows(np.concatenate(expected))


def test_other_endings_of_sound_are_counted(tmp_path: Path) -> None:
    recordings(tmp_path)
    for name in ("x.m4a", "y.m4a", "notes.txt"):
        (tmp_path / "sounds" / name).write_bytes(b"x")
    said = prepared(tmp_path, **AUDIO).meta["decisions"]
    assert "3 files of other endings were passed over: 2 .m4a, 1 .txt." in said


def test_official_splits_of_recordings(tmp_path: Path) -> None:
    for split, count in (("train", 6), ("valid", 2), ("test", 3)):
        for label in ("anna", "ben"):
            for number in range(count):
                save(tmp_path, f"{split}/{label}/{number}.wav", wave(number, 200))
    data = prepared(tmp_path, **{**AUDIO, "labels": "folders", "test_count": None})
    assert data.meta["counts"] == {"train": 24, "val": 8, "test": 12} and data.meta["class_names"] == ["anna", "ben"]


def test_a_split_whose_recordings_give_no_window_is_refused(tmp_path: Path) -> None:
    for split, length in (("train", 300), ("test", 50)):
        for number in range(6):
            save(tmp_path, f"{split}/{number}.wav", wave(number, length))
    line = refusal(tmp_path, **{**AUDIO, "test_count": None}, short="drop")
    assert line == "no recording of the split test is as long as a window of 100 samples: lower data.window, or pad"
