"""Inverse autoregressive flow: fast to sample, slow to score other people's data.

The mirror image of MAF: each transform conditions on the noise side, so a sample is one pass of a MADE network per
block, and so is the density *of its own samples*, whose noise is known. The density of given data needs the noise
found dimension by dimension. This is why an IAF is the student of a distillation: learning from its own samples, it
never pays for the slow direction.

    y_i = (u_i - μ_i(u_<i)) exp(-α_i(u_<i)),      log p(y) = log N(u; 0, I) + Σ_i α_i        (per block)

(Kingma's y = μ' + σ u, with σ = exp(-α) and μ' = -μ exp(-α): the same functions, since μ and α are free.)

Cost in sequential network passes, with B blocks and D dimensions: `sample`, `decode` and `sample_density` B,
`log_prob` and `encode` B·D. Kingma et al., "Improving Variational Inference with Inverse Autoregressive Flow", 2016
(arXiv:1606.04934).
"""

from __future__ import annotations

from torch import Tensor

from .layers.flow import AutoregressiveFlow, AutoregressiveFlowConfig

IAFConfig = AutoregressiveFlowConfig


class IAF(AutoregressiveFlow):
    """Blocks whose single pass leads from the noise to the data."""

    Config = IAFConfig
    parallel_sampling = True

    @property
    def sampling_passes(self) -> int:
        return int(self.config.blocks)

    @property
    def scoring_passes(self) -> int:
        return self.config.blocks * self.event.dimensions

    def _to_noise(self, y: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        return self._back(y, context)

    def _to_data(self, u: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        return self._through(u, context)
