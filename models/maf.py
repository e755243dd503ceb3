"""Masked autoregressive flow: fast to score, slow to sample.

A stack of autoregressive transforms turns data into normal noise. Each conditions on the data side, so all of u
follows from all of y in one pass of a MADE network per block; back to the data, each block must go dimension by
dimension.

    u_i = (y_i - μ_i(y_<i)) exp(-α_i(y_<i)),      log p(y) = log N(u; 0, I) - Σ_i α_i        (per block)

Cost in sequential network passes, with B blocks and D dimensions: `log_prob` and `encode` B, `sample` and `decode`
B·D. Papamakarios, Pavlakou & Murray, "Masked Autoregressive Flow for Density Estimation", 2017 (arXiv:1705.07057).
"""

from __future__ import annotations

from torch import Tensor

from .layers.flow import AutoregressiveFlow, AutoregressiveFlowConfig

MAFConfig = AutoregressiveFlowConfig


class MAF(AutoregressiveFlow):
    """Blocks whose single pass leads from the data to the noise."""

    Config = MAFConfig
    parallel_sampling = False

    @property
    def sampling_passes(self) -> int:
        return self.config.blocks * self.event.dimensions

    @property
    def scoring_passes(self) -> int:
        return int(self.config.blocks)

    def _to_noise(self, y: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        return self._through(y, context)

    def _to_data(self, u: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        return self._back(u, context)
