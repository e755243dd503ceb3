"""What is done to examples on their way from the source to the splits. What is learnt is learnt on training rows only.

Binarisation: Salakhutdinov & Murray, 2008 (fixed), Burda, Grosse & Salakhutdinov, 2015 (anew at each step); fewer bits:
Kingma & Dhariwal, "Glow", 2018; colour clusters: Chen et al., "Generative Pretraining from Pixels", 2020.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from ...errors import UserError
from ...params.source_section import ImageOptions
from ...params.source_section import Source as Settings
from ..quantisation import Encoding, encode
from ..sources import Source

PIXELS = 500_000  # at most so many training pixels are clustered


class Transform:
    """Leaves examples as they are. `meta` holds what becomes of the keys of meta.json."""

    def __init__(self, source: Source) -> None:
        self.levels, self.shape = source.levels, tuple(source.parts["train"].x.shape[1:])
        self.dtype = source.parts["train"].x.dtype
        self.meta: dict[str, Any] = {"channels": source.channels, "ordered": True, "palette": None, "each_step": None}
        self.decisions: list[str] = []

    def fit(self, chunks: Iterable[np.ndarray], rows: int) -> None:
        """Learn what must be learnt from all training rows, whose number is `rows`."""

    needs_fit = False

    def finite(self, x: np.ndarray) -> bool:
        """Are the transformed numbers what they must be?"""
        return bool(np.isfinite(x).all())

    def __call__(self, x: np.ndarray, split: str) -> np.ndarray:
        """Rows (n, *shape) of a split, transformed."""
        return x


class FewerBits(Transform):
    """Drop the lower of the eight bits of each pixel."""

    def __init__(self, source: Source, bits: int) -> None:
        super().__init__(source)
        self.shift, self.levels = 8 - bits, 1 << bits
        self.decisions = [f"Pixels were reduced from 8 to {bits} bits, {self.levels} levels."]

    def __call__(self, x: np.ndarray, split: str) -> np.ndarray:
        return x >> self.shift


class Binarised(Transform):
    """Make each pixel 0 or 1; with `each_step` the training split keeps its grey levels, as probabilities of 1."""

    def __init__(self, source: Source, how: str, seed: int) -> None:
        super().__init__(source)
        assert source.levels is not None
        self.how, self.top, self.levels = how, source.levels - 1, 2
        self.rngs = {
            split: np.random.default_rng([seed, number]) for number, split in enumerate(("train", "val", "test"))
        }
        said = {
            "threshold": "Pixels of more than half of the range became 1, the others 0.",
            "fixed": f"Pixels became 1 with their grey level as the probability, drawn once with seed {seed}.",
            "each_step": "Pixels become 1 with their grey level as the probability: in training anew at each step, in"
            f" validation and test drawn once with seed {seed}.",
        }
        self.decisions = [said[how]]
        if how == "each_step":
            self.meta["each_step"] = source.levels

    def __call__(self, x: np.ndarray, split: str) -> np.ndarray:
        if self.how == "threshold":
            return (2 * x.astype(np.int64) > self.top).astype(np.uint8)
        if self.how == "each_step" and split == "train":
            return x
        return (self.rngs[split].random(x.shape) * self.top < x).astype(np.uint8)


class Palette(Transform):
    """Give each pixel the index of the nearest of N colours, the k-means centres of the training pixels."""

    needs_fit = True

    def __init__(self, source: Source, colours: int, seed: int) -> None:
        super().__init__(source)
        assert source.levels is not None
        self.colours, self.seed, self.top, self.levels = colours, seed, source.levels - 1, colours
        self.channels = self.shape[0]
        self.shape = (1, *self.shape[1:])
        self.meta |= {"channels": "palette", "ordered": False}

    def fit(self, chunks: Iterable[np.ndarray], rows: int) -> None:
        per_row = int(np.prod(self.shape))
        rng = np.random.default_rng(self.seed)
        share = min(1.0, PIXELS / (rows * per_row))
        pixels = np.concatenate([part[rng.random(len(part)) < share] for part in map(self._pixels, chunks)])
        distinct = len(np.unique(pixels, axis=0))
        if distinct < self.colours:
            raise UserError(
                f"params.yaml: data.palette: {self.colours} is not allowed: the images have {distinct} colours"
            )
        from sklearn.cluster import MiniBatchKMeans  # takes a second

        kmeans = MiniBatchKMeans(self.colours, random_state=self.seed, batch_size=4096, n_init=3, max_iter=100)
        with threadpool_limits(1):  # sums of several threads differ in their last bits
            kmeans.fit(pixels.astype(np.float32))
        centres = np.rint(kmeans.cluster_centers_)
        self.centres = centres[centres.sum(1).argsort(kind="stable")]  # from dark to bright
        rgb = np.repeat(self.centres, 3, 1) if self.channels == 1 else self.centres
        self.meta["palette"] = np.rint(rgb * 255 / self.top).astype(int).tolist()
        error = float(np.sqrt(((pixels - self.centres[self._nearest(pixels)]) ** 2).mean()))
        self.decisions = [
            f"Colours were clustered to a palette of {self.colours} by k-means over {len(pixels):,} training pixels;"
            f" pixels are off by {error:.1f} of {self.top} levels (root mean square)."
        ]

    def __call__(self, x: np.ndarray, split: str) -> np.ndarray:
        return self._nearest(self._pixels(x)).astype(np.uint8).reshape(len(x), *self.shape)

    def _pixels(self, x: np.ndarray) -> np.ndarray:
        """The colours (n·H·W, C) of images (n, C, H, W)."""
        return np.moveaxis(x, 1, -1).reshape(-1, self.channels)

    def _nearest(self, pixels: np.ndarray) -> np.ndarray:
        """argmin_k ‖p - c_k‖² = argmin_k ‖c_k‖² - 2 p·c_k, some pixels at a time."""
        bias = (self.centres**2).sum(1)
        near = [
            (bias - 2 * (part @ self.centres.T)).argmin(1) for part in np.array_split(pixels, len(pixels) // 65536 + 1)
        ]
        return np.concatenate(near)


class Filled(Transform):
    """Put the mean of the training rows where a value is missing."""

    needs_fit = True

    def fit(self, chunks: Iterable[np.ndarray], rows: int) -> None:
        total, count = np.zeros(self.shape), np.zeros(self.shape)
        for x in chunks:
            total += np.nansum(x, 0, dtype=np.float64)
            count += np.isfinite(x).sum(0)
        self.mean = (total / np.maximum(count, 1)).astype(np.float32)

    def __call__(self, x: np.ndarray, split: str) -> np.ndarray:
        return np.where(np.isnan(x), self.mean, x).astype(np.float32)


class Quantised(Transform):
    """Turn real numbers into levels of the range of the training rows; what lies outside is clipped."""

    needs_fit = True

    def __init__(self, source: Source, encoding: Encoding) -> None:
        super().__init__(source)
        self.encoding, self.dtype = encoding, np.dtype(np.uint8)
        self.low, self.high, self.clipped = np.inf, -np.inf, 0

    def fit(self, chunks: Iterable[np.ndarray], rows: int) -> None:
        for x in chunks:
            self.low, self.high = min(self.low, float(x.min())), max(self.high, float(x.max()))
        if not self.low < self.high:
            raise UserError(f"params.yaml: data.column: is constant, {self.low:g}, in all training rows: no density")
        self.meta["range"] = [self.low, self.high]

    def __call__(self, x: np.ndarray, split: str) -> np.ndarray:
        assert self.levels is not None
        self.clipped += int(((x < self.low) | (x > self.high)).sum())
        self.decisions = [
            f"The range {self.low:g} … {self.high:g} of the training rows was quantised to {self.levels} levels"
            f" ({self.encoding}); {self.clipped:,} values outside were clipped."
        ]
        return encode(x, self.levels, self.encoding, self.low, self.high)


def transform_for(source: Source, data: Settings) -> Transform:
    """The transform that the parameters ask for. A UserError for one that the examples do not allow."""
    if source.meta.get("fill"):
        return Filled(source)
    if source.parts["train"].x.dtype.kind == "f" and source.levels is not None:
        return Quantised(source, source.meta["encoding"])
    asked = data if isinstance(data, ImageOptions) else ImageOptions()
    option = next((key for key in ("bits", "binarise", "palette") if getattr(asked, key) is not None), None)
    if option is None:
        return Transform(source)
    if source.channels not in ("grey", "rgb"):
        raise UserError(
            f"params.yaml: data.{option}: is not allowed: it is for images, and these are {source.channels}"
        )
    if asked.bits is not None:
        if source.levels != 256:
            raise UserError(f"params.yaml: data.bits: is not allowed: the images have {source.levels} levels, not 256")
        return FewerBits(source, asked.bits)
    if asked.binarise is not None:
        return Binarised(source, asked.binarise, data.seed)
    assert asked.palette is not None
    return Palette(source, asked.palette, data.seed)
