"""What a finished model answers: the tasks behind `predict`, the same in the registry, over HTTP and in a shell.

A registered model carries this package, so it imports nothing that a model does not carry: see `..carried`.
"""
