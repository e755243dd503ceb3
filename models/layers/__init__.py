"""What several families are built of; what one family alone uses stands beside it, as `models/<family>_….py`.

    flows/           bijections with their log-determinants, and the base class of flows
    autoregressive/  networks that see only what came before, their outputs, and the base class of their families
    adversarial      losses and penalties of GANs
    coders           encoders and decoders

The other modules serve all of them: units, labels, draws, bins, sums over workers.
"""
