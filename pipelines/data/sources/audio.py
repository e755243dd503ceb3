"""A folder of recordings: resampled, made mono, quantised, and cut into windows of fixed length.

A recording is read and resampled block by block, so that one of any length needs little memory; one that is trimmed,
normalised or dithered is held as a whole.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
import soxr
from soundfile import available_formats

from ...errors import UserError
from ...params.file_sections import Audio
from ..quantisation import encode
from ..rows import Rows, RowsWriter
from . import Part, Source
from .faults import Fault, Faults
from .finding import checksum, put, some
from .listing import listed
from .parallel import in_chunks

# Endings by the format of libsndfile that reads them: what it was built without is passed over, and that is said.
ENDINGS = {
    "WAV": (".wav",), "FLAC": (".flac",), "OGG": (".ogg", ".oga", ".opus"), "MP3": (".mp3",), "AIFF": (".aiff", ".aif"),
}  # fmt: skip
SUFFIXES = tuple(suffix for kind, suffixes in ENDINGS.items() if kind in available_formats() for suffix in suffixes)
MIX = "set data.stereo to mix"
BLOCK = 1 << 18  # samples that are read at once
FILES = 16  # recordings per piece of work
MARGIN = 0.01  # seconds that are kept on either side of what is trimmed
# How libsndfile notes that the samples of a WAV or an AIFF end before its header says, and those of an OGG, of Vorbis
# or of Opus, before their end mark.
SHORTER = re.compile(
    r"^ ?(?:data|SSND) : (\d+) \(should be (\d+)\)|File ended unexpectedly|Last page lacks an end-of-stream bit",
    re.MULTILINE,
)
UNKNOWN = (0, 0x7FFFFFFF, 0xFFFFFFFF)  # lengths that a header promises if its writer could not go back to it


@dataclass(frozen=True)
class Recording:
    """The windows (n, window) of a recording as levels, and what was done to it."""

    windows: np.ndarray
    resampled_from: int | None
    channels: int
    clipped: int
    left_over: int  # samples behind the last full window: padded or dropped
    trimmed: int  # samples before the onset and after the end


def read(data: Audio, root: Path, spool: Path) -> Source:
    """Windows (N, 1, window) of integers, labelled as the parameters say; each says which recording it is from."""
    listing = listed(data, root, SUFFIXES)
    paths, splits = listing.paths, listing.numbers()
    done = _Done()
    found = {
        split: _windows(f"prepare: {split} recordings", paths, numbers, data, spool / f"{split}.npy", done)
        for split, numbers in splits.items()
    }
    by_split = {split: [paths[number] for number in numbers] for split, numbers in splits.items()}
    skipped = done.faults.settle(len(paths), data.corrupt, by_split)
    for split, (x, _) in found.items():
        if not len(x):
            which = f"no recording of the split {split}" if len(found) > 1 else "no recording"
            raise UserError(f"{which} is as long as a window of {data.window} samples: lower data.window, or pad")
    labels, names = listing.labels(np.unique(np.concatenate([recordings for _, recordings in found.values()])))
    parts = {}
    for split, (x, recordings) in found.items():
        mine = None if labels is None else put(spool, f"{split}_labels", labels[recordings])
        parts[split] = Part(x, mine, put(spool, f"{split}_recordings", recordings))
    return Source(
        parts,
        data.levels,
        "audio",
        names,
        decisions=[*done.sentences(len(paths), data), *listing.decisions, *skipped],
        checksums=checksum(listing.sources, root / data.path),
        meta={"sample_rate": data.sample_rate, "encoding": data.encoding, "range": [-1.0, 1.0]},
    )


class _Done:
    """What was done to the recordings, counted for the report."""

    def __init__(self) -> None:
        self.rates: dict[int, int] = {}
        self.mixed = self.clipped = self.padded = self.dropped = self.trimmed = 0
        self.without: list[Path] = []
        self.silent: list[Path] = []
        self.faults = Faults("audio")

    def add(self, path: Path, recording: Recording, data: Audio) -> None:
        if recording.resampled_from is not None:
            self.rates[recording.resampled_from] = self.rates.get(recording.resampled_from, 0) + 1
        self.mixed += recording.channels > 1
        self.clipped += recording.clipped
        self.trimmed += recording.trimmed
        if recording.left_over:
            self.padded += data.short == "pad"
            self.dropped += data.short == "drop"
        if not len(recording.windows):
            self.without.append(path)
        elif recording.windows.min() == recording.windows.max():
            self.silent.append(path)

    def sentences(self, files: int, data: Audio) -> list[str]:
        hop = data.hop or data.window
        seconds = data.window / data.sample_rate
        said = [
            f"{files - len(self.faults.found):,} recordings were cut into windows of {data.window:,} samples"
            f" ({seconds:.3g} s), one every {hop:,}, and quantised to {data.levels} levels ({data.encoding})."
        ]
        said += [
            f"{n:,} recordings were resampled from {rate:,} to {data.sample_rate:,} Hz."
            for rate, n in self.rates.items()
        ]
        if self.mixed:
            said.append(f"{self.mixed:,} recordings with several channels were mixed to one.")
        if data.trim is not None:
            share = self.trimmed / data.sample_rate
            said.append(f"Silence at both ends, {-data.trim:g} dB below the peak, was left out: {share:,.1f} s in all.")
        if data.normalise is not None:
            said.append(f"Each recording was made so loud that its peak is {data.normalise:g}.")
        if data.dither:
            said.append(f"White noise with a root mean square of {data.dither:g} was added.")
        if self.clipped:
            said.append(f"{self.clipped:,} samples beyond full scale, for instance after resampling, were clipped.")
        if self.padded:
            said.append(f"The last window of {self.padded:,} recordings was filled with silence.")
        if self.dropped:
            said.append(f"The ends of {self.dropped:,} recordings, shorter than a window, were dropped.")
        if self.silent:
            names = some(path.name for path in self.silent)
            said.append(f"{len(self.silent):,} recordings are one level throughout, as silence is: {names}.")
        if self.without:
            said.append(f"{len(self.without):,} recordings gave no window: {some(path.name for path in self.without)}.")
        return said


def _windows(
    title: str, paths: Sequence[Path], numbers: np.ndarray, data: Audio, target: Path, done: _Done
) -> tuple[Rows, np.ndarray]:
    """The windows of some of the recordings on disk, and the number of the recording of each."""
    counts: list[int] = []
    mine = [paths[number] for number in numbers]
    with RowsWriter(target, (1, data.window), np.uint8) as writer:
        for chunk, recordings in in_chunks(title, partial(_read_all, data), mine, FILES):
            for path, recording in zip(chunk, recordings, strict=True):
                if isinstance(recording, Fault):
                    done.faults.found.append((path, recording))
                    counts.append(0)
                    continue
                writer.append(recording.windows[:, None])
                counts.append(len(recording.windows))
                done.add(path, recording, data)
    return Rows(target), np.repeat(numbers, counts)


def _read_all(data: Audio, paths: Sequence[Path]) -> list[Recording | Fault]:
    return [_read(path, data) for path in paths]


def _read(path: Path, data: Audio) -> Recording | Fault:
    """One recording, or why there is none: the file is damaged or empty, or has several channels unasked."""
    try:
        with soundfile.SoundFile(path) as file:
            if _truncated(file.extra_info):
                return Fault("is truncated: it ends before its header says")
            if not file.frames:
                return Fault("is of zero length")
            if file.channels > 1 and data.stereo == "refuse":
                return Fault(f"has {file.channels} channels where one is demanded", MIX)
            rate, channels = file.samplerate, file.channels
            take = _whole if data.whole else _streamed
            windows, clipped, left_over, trimmed = take(file, data, path)
            if _truncated(file.extra_info):  # of an OGG the end is known once it is reached
                return Fault("is truncated: it ends before its end mark")
    except soundfile.LibsndfileError as error:
        return Fault(_unopened(path, error))
    except (ValueError, OSError) as error:
        return Fault(" ".join(str(error).split()))
    return Recording(windows, rate if rate != data.sample_rate else None, channels, clipped, left_over, trimmed)


def _unopened(path: Path, error: soundfile.LibsndfileError) -> str:
    """Why libsndfile does not read a file. Of one that is no MP3 it says that there is none."""
    if not path.is_file():
        return "is no file"
    if not path.stat().st_size:
        return "is empty"
    reason = " ".join(error.error_string.split()).rstrip(".")
    return f"is no recording, or damaged{'' if 'does not exist' in reason else f': {reason}'}"


def _truncated(information: str) -> bool:
    """Do libsndfile's notes say that samples are missing?"""
    found = SHORTER.search(information)
    if found is None or found[1] is None:
        return found is not None
    promised, there = int(found[1]), int(found[2])
    return promised > there and promised not in UNKNOWN


def _streamed(file: soundfile.SoundFile, data: Audio, _: Path) -> tuple[np.ndarray, int, int, int]:
    """The windows of levels of a recording, the samples that were clipped, and those left over; none is trimmed."""
    pieces, clipped = [], 0
    for mono in _mono(file, data):
        clipped += int((np.abs(mono) > 1).sum())
        pieces.append(encode(mono, data.levels, data.encoding))
    windows, left_over = _cut(np.concatenate(pieces), data, _silence(data))
    return windows, clipped, left_over, 0


def _whole(file: soundfile.SoundFile, data: Audio, path: Path) -> tuple[np.ndarray, int, int, int]:
    """The same, with samples that were trimmed, of a recording that is looked at as a whole."""
    sound = np.concatenate(list(_mono(file, data)))
    length, peak = len(sound), float(np.abs(sound).max())
    if data.trim is not None and peak > 0:
        sound = trimmed(sound, peak * 10 ** (data.trim / 20), round(MARGIN * data.sample_rate))
    if data.normalise is not None and peak > 0:
        sound = sound * (data.normalise / peak)
    windows, left_over = _cut(sound, data, 0.0)
    if data.dither:
        rng = np.random.default_rng([data.seed, zlib.crc32(path.name.encode())])  # the same whoever reads the file
        windows = windows + data.dither * rng.standard_normal(windows.shape)
    clipped = int((np.abs(windows) > 1).sum())
    return encode(windows, data.levels, data.encoding), clipped, left_over, length - len(sound)


def trimmed(sound: np.ndarray, threshold: float, margin: int) -> np.ndarray:
    """A sound (T,) from the first to the last sample above the threshold, and `margin` samples on either side."""
    loud = np.flatnonzero(np.abs(sound) > threshold)
    return sound[max(0, loud[0] - margin) : loud[-1] + 1 + margin]


def _mono(file: soundfile.SoundFile, data: Audio) -> Iterator[np.ndarray]:
    """The amplitudes (t,) of a recording at the wanted rate, block by block."""
    resampler = None
    if file.samplerate != data.sample_rate:
        resampler = soxr.ResampleStream(file.samplerate, data.sample_rate, 1, dtype="float32")
    read = 0
    # Not `file.blocks`: where a file ends too early, it gives what it read last once more.
    while len(block := file.read(BLOCK, dtype="float32", always_2d=True)):
        read += len(block)
        if not np.isfinite(block).all():
            raise ValueError("holds NaN or infinite samples")
        mono = block.mean(1)
        yield mono if resampler is None else resampler.resample_chunk(mono, last=read >= file.frames)
    if read < file.frames:
        raise ValueError(f"is truncated: its header promises {file.frames:,} samples, and {read:,} are there")


def _cut(x: np.ndarray, data: Audio, filler: float) -> tuple[np.ndarray, int]:
    return cut(x, data.window, data.hop or data.window, data.short == "pad", filler)


def _silence(data: Audio) -> int:
    return int(encode(np.zeros(1, np.float32), data.levels, data.encoding)[0])


def cut(x: np.ndarray, window: int, hop: int, pad: bool, filler: float) -> tuple[np.ndarray, int]:
    """The windows (n, window) of a row x (T,), one every `hop`, and how many numbers lie behind the last full one.

    With `pad` these make a window too, filled up with `filler`. What a `hop` longer than a window skips is no rest.
    """
    full = 1 + (len(x) - window) // hop if len(x) >= window else 0
    left_over = len(x) - ((full - 1) * hop + window if full else 0)
    if full * hop >= len(x):
        left_over = 0
    if pad and left_over:
        x = np.concatenate([x, np.full(window, filler, x.dtype)])
        full += 1
    if not full:
        return np.empty((0, window), x.dtype), left_over
    return np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(x, window)[: full * hop : hop]), left_over
