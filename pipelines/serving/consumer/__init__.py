"""The command line of those who use a finished model, and have no project: `genera sample`, `score`, `complete`, …

It is a distribution of its own, `genera-client`, too (see `client/`), so it imports nothing of the other packages here.
"""
