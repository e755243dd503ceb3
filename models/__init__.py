"""What each family of generative models is: pure PyTorch, no files, no network, nothing of the workflow.

The package imports itself only by relative names, so that a registered model can carry a copy of it
under a name of its own and live beside a consumer's package called ``models``.
"""
