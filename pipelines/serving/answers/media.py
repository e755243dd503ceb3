"""Images and sounds as files: PNG and WAV."""

from __future__ import annotations

import io
import wave
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...data.quantisation import decode
from .refusal import Refusal

CHANNELS = {1: "L", 3: "RGB", 4: "RGBA"}


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
