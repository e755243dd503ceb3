"""Inverse autoregressive flow: fast to sample, slow to score other people's data.

The mirror image of MAF: each transform conditions on the noise side, so a sample is one pass of a MADE network per
block, and so is the density *of its own samples*, whose noise is known. The density of given data needs the noise
found dimension by dimension. This is why an IAF is the student of a distillation: learning from its own samples, it
never pays for the slow direction.

    y_i = (u_i - μ_i(u_<i)) exp(-α_i(u_<i)),      log p(y) = log N(u; 0, I) + Σ_i α_i        (per block)

(Kingma's y = μ' + σ u, with σ = exp(-α) and μ' = -μ exp(-α): the same functions, since μ and α are free.)

Cost in sequential network passes, with B blocks and D dimensions: `sample`, `decode` and `sample_density` B,
`log_prob` and `encode` B·D, which are D small steps of each block here, with the arithmetic of one pass together.
Kingma et al., "Improving Variational Inference with Inverse Autoregressive Flow", 2016 (arXiv:1606.04934).
"""

from __future__ import annotations

from .layers.autoregressive_flow import AutoregressiveFlowConfig, autoregressive_blocks
from .layers.bijections import Bijection, Inverse
from .layers.flow import Flow

IAFConfig = AutoregressiveFlowConfig


class IAF(Flow):
    """Blocks whose single pass leads from the noise to the data."""

    Config = IAFConfig

    def make_bijection(self) -> Bijection:
        return Inverse(autoregressive_blocks(self.config, self.event.dimensions, self.classes))
