"""How much noise a diffusion has added by each timestep.

    x_t = √ᾱ_t x_0 + √(1 - ᾱ_t) ε,   ᾱ_t = Π_{i≤t} (1 - β_i),   t = 0 … T,   ᾱ_0 = 1

`linear`: β rises in equal steps from 10⁻⁴ to 0.02, times 1000/T, so that any T destroys the data as T = 1000 does (Ho
et al., 2020, arXiv:2006.11239). `cosine`: ᾱ_t = f(t)/f(0), f(t) = cos²((t/T + s)/(1 + s) · π/2), s = 0.008 (Nichol &
Dhariwal, 2021, arXiv:2102.09672). No β exceeds 0.999.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .noise import Noise

LARGEST = 0.999  # β: the last of a cosine would be 1
MOST_SNR = 5.0  # γ, with which a step weighs at most by min-SNR
OFFSET = 0.008  # s of the cosine


def betas(name: str, timesteps: int) -> Tensor:
    """β_1 … β_T (T,), float64."""
    if name == "linear":
        return torch.linspace(0.1, 20.0, timesteps, dtype=torch.float64).div(timesteps).clamp_max(LARGEST)
    angle = (torch.arange(timesteps + 1, dtype=torch.float64) / timesteps + OFFSET) / (1 + OFFSET)
    f = (angle * math.pi / 2).cos().square()
    return (1 - f[1:] / f[:-1]).clamp(0, LARGEST)


class Schedule(nn.Module):
    """ᾱ_0 … ᾱ_T, and what follows from them; `first` is the least that β_1 may be.

    Kept in float64, out of the weights: a function of the configuration.
    """

    alpha_bar: Tensor
    snr: Tensor

    def __init__(self, name: str, timesteps: int, first: float = 0.0) -> None:
        super().__init__()
        self.timesteps = timesteps
        beta = betas(name, timesteps)
        beta[0] = beta[0].clamp(first, LARGEST)
        alpha_bar = torch.cat([torch.ones(1, dtype=torch.float64), (1 - beta).cumprod(0)])
        self.register_buffer("alpha_bar", alpha_bar, persistent=False)
        self.register_buffer("snr", alpha_bar / (1 - alpha_bar), persistent=False)

    def scales(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """√ᾱ_t and √(1 - ᾱ_t) of timesteps t (N,) or (), to be multiplied with `like` (N, …)."""
        alpha_bar = self.alpha_bar[t].view(-1, *[1] * (like.dim() - 1))
        return alpha_bar.sqrt().to(like), (1 - alpha_bar).sqrt().to(like)

    def noised(self, x_0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """x_t ~ q(x_t | x_0), by standard normal noise of the shape of x_0."""
        signal, std = self.scales(t, x_0)
        return signal * x_0 + std * noise

    def weight(self, t: Tensor, s: Tensor) -> Tensor:
        """What ‖x_0 - x̂_0‖² weighs in KL(q(x_s | x_t, x_0) ‖ q(x_s | x_t, x̂_0)): ½ (SNR_s - SNR_t), 0 < s < t."""
        return 0.5 * (self.snr[s] - self.snr[t])

    def step(self, x_0: Tensor, x_t: Tensor, t: Tensor, s: Tensor, eta: float) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the step from x_t to x_s, s < t, that believes in x_0.

        With ε = (x_t - √ᾱ_t x_0) / √(1 - ᾱ_t) and σ = η √((1 - ᾱ_s)/(1 - ᾱ_t)) √(1 - ᾱ_t/ᾱ_s) it is
        N(√ᾱ_s x_0 + √(1 - ᾱ_s - σ²) ε, σ²), which for η = 1 is the posterior q(x_s | x_t, x_0), and for η = 0 a point.
        """
        signal, std = self.scales(t, x_t)
        into, out = self.alpha_bar[s], self.alpha_bar[t]
        variance = eta**2 * (1 - into) / (1 - out) * (1 - out / into)
        epsilon = (x_t - signal * x_0) / std
        mean = into.sqrt().to(x_t) * x_0 + (1 - into - variance).clamp_min(0).sqrt().to(x_t) * epsilon
        return mean, variance.sqrt().to(x_t)

    def strata(self, count: int) -> list[int]:
        """Where `count` strata of 1 … T begin, and T + 1: a sum over all t is estimated by one t from each.

        t = 1 is alone, for its term of the bound is of another kind. The others share evenly how far log(1 - ᾱ) rises,
        to which the terms would sum up if data were Gaussian: so each has about its share of the bound.
        """
        left = (1 - self.alpha_bar[1:]).log().cpu()  # of t = 1 … T, rising
        shares = torch.linspace(0, 1, count, dtype=torch.float64)
        ideal = 2 + torch.searchsorted(left[1:].contiguous(), left[0] + shares * (left[-1] - left[0]))
        place = torch.arange(count)  # each stratum has one timestep at least
        begins = ((ideal - place).cummax(0).values + place).minimum(self.timesteps + 1 - place.flip(0))
        return [1, *begins[:-1].tolist(), self.timesteps + 1]

    def grid(self, steps: int) -> list[int]:
        """`steps` timesteps from T down, evenly spaced, and 0 at the end."""
        return [round(step * self.timesteps / steps) for step in range(steps, -1, -1)]

    def target(self, prediction: str, x_0: Tensor, t: Tensor, epsilon: Tensor) -> Tensor:
        """What a network should predict: ε, or v = √ᾱ_t ε - √(1 - ᾱ_t) x_0."""
        if prediction == "epsilon":
            return epsilon
        signal, std = self.scales(t, x_0)
        return signal * epsilon - std * x_0

    def min_snr(self, prediction: str, t: Tensor) -> Tensor:
        """The weight at timesteps t (N,) that makes of the squared error of a prediction min(SNR, 5) ‖x_0 - x̂_0‖².

        The error of ε is SNR times that of x_0, and that of v SNR + 1 times.
        """
        snr = self.snr[t]
        return snr.clamp_max(MOST_SNR) / (snr + 1 if prediction == "v" else snr)

    def origin(self, prediction: str, output: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """The x_0 that follows from a network's output, ε̂ or v̂."""
        signal, std = self.scales(t, x_t)
        return signal * x_t - std * output if prediction == "v" else (x_t - std * output) / signal

    def random_timesteps(self, noise: Noise) -> Tensor:
        """Timesteps (N,): row i of a global batch of B rows draws from the i-th of B strata of 1 … T.

        So every batch sees all amounts of noise. Rows are shuffled, so an example meets all of them in time.
        """
        place = noise.start + torch.arange(noise.rows, device=noise.device) + noise.uniform()
        return 1 + (place * (self.timesteps / noise.total)).long().clamp_max(self.timesteps - 1)

    def drawn(self, count: int, noise: Noise) -> tuple[Tensor, Tensor]:
        """Timesteps (count, N), one drawn from each of as many strata, and how many of T each stands for (count,)."""
        edges = torch.tensor(self.strata(count), device=noise.device)
        first, sizes = edges[:-1], edges.diff()
        if count == self.timesteps:
            return first[:, None].expand(-1, noise.rows), sizes
        u = noise.uniform(count).T
        return first[:, None] + (u * sizes[:, None]).long().minimum(sizes[:, None] - 1), sizes
