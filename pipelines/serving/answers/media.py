"""Images and sounds as files: PNG and WAV."""

from __future__ import annotations

import io
import wave
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...data.quantisation import decode, encode
from .refusal import Refusal

CHANNELS = {1: "L", 3: "RGB", 4: "RGBA"}
WIDTHS = {1: ("u1", 128, 127), 2: ("<i2", 0, 32767), 4: ("<i4", 0, 2**31 - 1)}  # bytes: numbers, silence, full scale


def png(x: np.ndarray, levels: int, data: Mapping[str, Any]) -> bytes:
    """An image (C, H, W) of levels 0 … levels - 1; those of a palette are its colours."""
    from PIL import Image

    if data.get("palette"):
        pixels = np.asarray(data["palette"], dtype=np.uint8)[x[0].astype(np.int64)]
    else:
        pixels = np.moveaxis(np.rint(x.astype(np.float64) * (255 / max(1, levels - 1))).astype(np.uint8), 0, -1)
    if pixels.shape[-1] not in CHANNELS:
        raise Refusal(f"format: png has no images of {pixels.shape[-1]} channels: leave it out")
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels, CHANNELS[pixels.shape[-1]]).save(file, "PNG")
    return file.getvalue()


def wav(x: np.ndarray, levels: int, data: Mapping[str, Any]) -> bytes:
    """A sound (1, T) of levels 0 … levels - 1, as 16 bits at the rate of the data."""
    if not data.get("sample_rate") or not data.get("encoding"):
        raise Refusal("format: wav is for sounds, and this model was trained on none that has a sample rate")
    low, high = data["range"]
    signal = decode(x[0].astype(np.uint8), levels, data["encoding"], low, high) / max(abs(low), abs(high))
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(int(data["sample_rate"]))
        writer.writeframes((np.clip(signal, -1, 1) * 32767).round().astype("<i2").tobytes())
    return file.getvalue()


def from_wav(content: bytes, levels: int, data: Mapping[str, Any]) -> np.ndarray:
    """The levels (1, 1, T) of a sound of any length, in a WAV file of one channel at the rate of the data."""
    if not data.get("sample_rate") or not data.get("encoding"):
        raise Refusal("a WAV file is for a model of sounds that has a sample rate, which this one has not")
    try:
        with wave.open(io.BytesIO(content)) as reader:
            channels, width, rate = reader.getnchannels(), reader.getsampwidth(), reader.getframerate()
            frames = reader.readframes(reader.getnframes())
    except (wave.Error, EOFError):
        raise Refusal("cannot be read as a WAV file of plain numbers (PCM)") from None
    wanted = int(data["sample_rate"])
    if (channels, rate) != (1, wanted) or width not in WIDTHS:
        found = f"{channels} channel{'s' if channels > 1 else ''} of {8 * width} bits at {rate:,} Hz"
        raise Refusal(
            f"has {found}; the model's sounds have one of 8, 16 or 32 bits at {wanted:,} Hz: "
            f"`ffmpeg -i sound.wav -ac 1 -ar {wanted} -sample_fmt s16 fits.wav` makes that"
        )
    dtype, silence, scale = WIDTHS[width]
    signal = (np.frombuffer(frames, dtype).astype(np.float64) - silence) / scale
    low, high = data["range"]
    return encode(signal * max(abs(low), abs(high)), levels, data["encoding"], low, high)[None, None]
