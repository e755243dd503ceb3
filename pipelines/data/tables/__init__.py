"""Columns with types: found in the data, brought to numbers that a model can learn, and back to what was there."""
