"""What a sound is made of: power spectra, and how far those of two sets of sounds are apart.

    P_c(τ, f) = mean over sounds of class c, and over the times t of the τ-th eighth, of |STFT(x)(t, f)|²
    distance  = Σ_c (n_c / N) mean_τ,f (log P_c(τ, f) - log P'_c(τ, f))²

averaged over window sizes, for long windows tell pitches apart and short ones moments. The mean over times and over the
sounds of a class compares what they are like, and not which phases they have, as the power loss of van den Oord et al.,
"Parallel WaveNet", 2017 (arXiv:1711.10433), does. It is one over eighths, since what begins alike, such as words, goes
on alike. The logarithm, for which the faint high frequencies of speech are as good as the loud low ones, is that of
Arik et al., "Fast Spectrogram Inversion using Multi-head Convolutional Neural Networks", 2018 (arXiv:1808.06719).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .layers.workers import sum_over_workers

SIZES = (64, 256, 1024)  # of windows, in samples; those longer than the sounds are as long as they
SEGMENTS = 8  # of a sound, at most: each has its own spectrum
FLOOR = 1e-6  # of a power, beside the mean of all: what lies below is silence


def spectral_distance(sounds: Tensor, real: Tensor, classes: Tensor) -> Tensor:
    """The distance of sounds (N, T) and real ones (N, T) of the same classes, given one-hot (N, C); a scalar.

    It is one of the global batch, over all workers.
    """
    sizes = sorted({min(size, sounds.shape[1]) for size in SIZES})
    return torch.stack([_distance(sounds, real, classes, size) for size in sizes]).mean()


def _distance(sounds: Tensor, real: Tensor, classes: Tensor, size: int) -> Tensor:
    count = sum_over_workers(classes.sum(0))  # (C,)
    ours, theirs = (
        sum_over_workers(classes.T @ mean_power(x, size)) / count.clamp_min(1)[:, None] for x in (sounds, real)
    )
    floor = FLOOR * theirs.mean()
    apart = (torch.log(ours + floor) - torch.log(theirs + floor)).square().mean(1)
    return (count * apart).sum() / count.sum()


def mean_power(x: Tensor, size: int) -> Tensor:
    """|STFT|² (N, (size // 2 + 1) · segments) of sounds x (N, T), averaged over the time of each segment.

    Windows of Hann overlap by three quarters.
    """
    window = torch.hann_window(size, dtype=x.dtype, device=x.device)
    padded = F.pad(x, (size // 2, size // 2))
    spectra = torch.stft(padded, size, max(1, size // 4), window=window, center=False, return_complex=True)
    power = spectra.abs().square() / window.square().sum()
    return F.adaptive_avg_pool1d(power, min(SEGMENTS, power.shape[2])).flatten(1)
