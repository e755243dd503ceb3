"""Synthetic tables judged as their owners judge: by columns, pairs, use and privacy, in the original values."""
